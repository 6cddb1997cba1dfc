/** One mapping: canvas, table and YAML of the same text; a live preview on real samples; publishing. */
import { BulbOutlined } from '@ant-design/icons'
import { App, Alert, Badge, Button, Input, Segmented, Select } from 'antd'
import { useQuery } from '@tanstack/react-query'
import { useEffect, useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useParams } from 'react-router'
import { api, ask, Problem, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import { useConnector, useModel } from '@/data/catalogue'
import { useLanguage, useSay } from '@/i18n'
import { useEntity } from '@/kit/bits'
import { JsonView } from '@/kit/json-view'
import { Loaded, Page, Trouble } from '@/kit/page'
import { useChange } from '@/kit/query'
import { Moved, useSettled } from '@/kit/settled'
import { Canvas } from './canvas'
import { canonicalCells, linesOf, nativeCells } from './columns'
import { read, type Mapping } from './document'
import { useTrial } from './preview'
import { RuleDrawer, type Chosen } from './rule-drawer'
import { RuleTable } from './rule-table'
import { Suggestions } from './suggestions'

export default function MappingPage() {
  const { t } = useTranslation('mappings')
  const { connector = '', name = '' } = useParams()
  const say = useSay()
  const entity = useEntity()
  const kind = useConnector(connector)
  const path = { connector, name }
  const query = useQuery({ queryKey: ['mappings', connector, name], queryFn: () => ask(api.GET('/api/v1/mappings/{connector}/{name}', { params: { path } })), refetchOnMount: 'always' })
  return (
    <Page wide name={`${say(kind.data?.label)} ${entity(name)}`} back={<Link className="back" to="/mappings">‹ {t('back')}</Link>}
      title={<>{say(kind.data?.label) || connector} · {entity(name)}{query.data && <span className={query.data.version ? 'state tone-busy' : 'state tone-off'}><i />{query.data.version ? t('own', { n: query.data.version }) : t('shipped')}</span>}</>}>
      <Loaded query={query}>{(found) => <Stored mapping={found} system={say(kind.data?.label) || connector} />}</Loaded>
    </Page>
  )
}

type View = 'canvas' | 'table' | 'yaml'

function Stored({ mapping, system }: { mapping: Schemas['Mapping']; system: string }) {
  const settled = useSettled(mapping)
  return <><Moved settled={settled} /><Editor key={settled.shown.etag} mapping={settled.shown} system={system} touch={settled.touch} /></>
}

function Editor({ mapping, system, touch }: { mapping: Schemas['Mapping']; system: string; touch: (dirty: boolean) => void }) {
  const { t } = useTranslation('mappings')
  const { t: common } = useTranslation()
  const { may } = useSession()
  const { modal } = App.useApp()
  const [text, setText] = useState(mapping.body)
  const [view, setView] = useState<View>('canvas')
  const [chosen, setChosen] = useState<Chosen | null>(null)
  const [suggesting, setSuggesting] = useState(false)
  const parsed = useMemo(() => read(text), [text])
  const trial = useTrial(mapping, text, parsed, may('editor'))
  const model = useModel(mapping.entity ?? parsed?.entity)
  const editable = may('editor')
  const dirty = text !== mapping.body
  useEffect(() => touch(dirty), [dirty, touch])
  const path = { connector: mapping.connector, name: mapping.name }
  const publish = useChange(() => ask(api.PUT('/api/v1/mappings/{connector}/{name}', { params: { path, header: { 'if-match': mapping.etag } }, body: { body: text } })), { stale: ['mappings'], quiet: true, done: common('saved'), then: () => touch(false) })
  const withdraw = useChange(() => ask(api.DELETE('/api/v1/mappings/{connector}/{name}', { params: { path, header: { 'if-match': mapping.etag } } })), { stale: ['mappings'], done: common('saved') })

  const native = trial.way === 'from' ? trial.record : trial.result
  const canonical = trial.way === 'from' ? trial.result : trial.record
  const cells = useMemo(() => (parsed ? { left: nativeCells(native, parsed.rules), right: canonicalCells(model.data?.fields ?? [], parsed.rules, canonical), lines: linesOf(parsed) } : null), [parsed, native, canonical, model.data])
  const open = cells && parsed ? cells.right.filter((one) => one.required && !one.head && (one.group === '' || cells.lines.some((line) => line.right === `${one.group}|`)) && !cells.lines.some((line) => line.right === one.key) && !filled(parsed, one.path)).length : 0

  return (
    <div className="mapping">
      <div className="row apart mapping-bar">
        <Segmented<View> value={view} onChange={setView} options={[{ value: 'canvas', label: t('canvas') }, { value: 'table', label: t('table') }, { value: 'yaml', label: t('yaml') }]} />
        <div className="row">
          <Select style={{ minWidth: 220 }} value={trial.chosen} onChange={trial.choose} aria-label={t('sample')} options={trial.options} />
          {editable && trial.state && <span className={`state tone-${trial.state === 'good' ? 'good' : trial.state === 'bad' ? 'bad' : 'off'}`} role="status"><i />{trial.state === 'good' ? t('previewGood') : trial.state === 'bad' ? t('previewBad') : t('previewRun')}</span>}
          {editable && <Badge count={0}><Button icon={<BulbOutlined />} onClick={() => setSuggesting(true)} disabled={!parsed}>{t('suggest')}</Button></Badge>}
        </div>
      </div>
      {!editable && <Alert type="info" showIcon title={t('readOnly')} />}
      {open > 0 && <Alert type="warning" showIcon title={t('requiredOpen', { n: open })} />}
      <Faults of={trial.errors} />
      {view === 'yaml' && <Yaml text={text} change={setText} disabled={!editable} remarks={trial.remarks} />}
      {view !== 'yaml' && (!parsed || !cells ? <Alert type="error" showIcon title={t('parseFailed')} /> : view === 'canvas' ? (
        <Canvas left={cells.left} right={cells.right} lines={cells.lines} mapping={parsed} text={text} system={system} editable={editable} change={setText} choose={setChosen} />
      ) : <RuleTable mapping={parsed} choose={setChosen} left={cells.left} right={cells.right} />)}
      {trial.way === 'to' && trial.result !== undefined && view !== 'yaml' && <section className="panel" style={{ marginTop: 16 }}><h2>{t('result')}</h2><JsonView value={trial.result} open={3} label={t('result')} /></section>}
      {publish.error && <div style={{ marginTop: 16 }}><Refusal error={publish.error} /></div>}
      {editable && (
        <div className="bar">
          <span className="row">{mapping.version > 0 && mapping.shipped && <Button type="text" danger onClick={() => void modal.confirm({ title: t('withdraw'), content: t('withdrawSure'), onOk: () => withdraw.mutateAsync(undefined).catch(() => undefined) })}>{t('withdraw')}</Button>}<span className="dim">{cells && t('mapped', { n: cells.lines.length })}</span></span>
          <span className="row">
            {dirty && <><span className="tone-wait">{t('dirty')}</span><Button onClick={() => setText(mapping.body)}>{t('discard')}</Button></>}
            <Button type="primary" disabled={!dirty} loading={publish.isPending} onClick={() => void modal.confirm({ title: t('publish'), content: t('publishSure'), okText: t('publish'), onOk: () => publish.mutateAsync(undefined).catch(() => undefined) })}>{t('publish')}</Button>
          </span>
        </div>
      )}
      {chosen && parsed && <RuleDrawer chosen={chosen} mapping={parsed} text={text} editable={editable} change={setText} close={() => setChosen(null)} />}
      {suggesting && parsed && cells && <Suggestions left={cells.left} right={cells.right} lines={cells.lines} mapping={parsed} text={text} change={setText} close={() => setSuggesting(false)} />}
    </div>
  )
}

function filled(mapping: Mapping, path: string): boolean {
  return mapping.rules.some((one) => one.canonical === path || one.canonical?.startsWith(`${path}.`) || one.canonical?.startsWith(`${path}[`))
}

function Faults({ of }: { of: Schemas['MappingFault'][] }) {
  const language = useLanguage()
  if (of.length === 0) return null
  return <Alert type="error" showIcon title={of.slice(0, 5).map((one, i) => <div key={i}>{language === 'zh' ? one.zh : one.en} <code>{[one.native, one.canonical].filter(Boolean).join(' ↔ ')}</code></div>)} />
}

function Refusal({ error }: { error: Error }) {
  return (
    <div className="stack">
      <Trouble error={error} />
      {error instanceof Problem && (error.body.errors ?? []).length > 3 && <ul>{error.body.errors?.map((one, i) => <li key={i}>{one.detail}</li>)}</ul>}
    </div>
  )
}

function Yaml({ text, change, disabled, remarks }: { text: string; change: (text: string) => void; disabled: boolean; remarks: Schemas['Remark'][] }) {
  const { t } = useTranslation('mappings')
  const language = useLanguage()
  return (
    <div className="split">
      <Input.TextArea className="mono yaml" aria-label="YAML" value={text} onChange={(event) => change(event.target.value)} readOnly={disabled} spellCheck={false} rows={24} wrap="off" />
      <aside className="panel sticky" tabIndex={0}>
        <h2>{t('remark')}</h2>
        {remarks.length === 0 ? <p className="dim">{t('remarksNone')}</p> : <ul className="remarks">{remarks.map((one, i) => <li key={i}><span className={`state tone-${one.level === 'error' ? 'bad' : one.level === 'warning' ? 'warn' : 'off'}`}><i />{t(`level.${one.level as 'info'}`)}</span> <span className="dim">{t('line', { n: one.line })}</span><br />{language === 'zh' ? one.zh : one.en}</li>)}</ul>}
      </aside>
    </div>
  )
}
