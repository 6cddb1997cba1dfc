/** Whose word counts: per business object, which field follows which system, and what holds for all the rest. */
import '@/style/data.css'
import './entities.css'
import { ArrowDownOutlined, ArrowUpOutlined, ForkOutlined } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Alert, Button, Input, Radio, Tabs } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useSearchParams } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { useSession } from '@/app/session'
import { useLanguage, useSay } from '@/i18n'
import { fieldName } from '@/i18n/fields'
import { useEntity } from '@/kit/bits'
import { Loaded, Nothing, Page, Trouble } from '@/kit/page'
import { useChange, whole } from '@/kit/query'
import { Moved, useSettled } from '@/kit/settled'
import { score } from '@/lib/search'
import { choiceOf, choose, moved, needsRank, paths, POLICIES, ranked, speaker, type Choice, type Policy, type Rule } from './ruling'

type Detail = Schemas['EntityDetail']

export default function EntitiesPage() {
  const { t } = useTranslation('entities')
  const entityName = useEntity()
  const [params, setParams] = useSearchParams()
  const query = useQuery({ queryKey: ['entities'], queryFn: () => whole((cursor) => ask(api.GET('/api/v1/entities', { params: { query: { limit: 200, cursor } } }))) })
  const said = (one: Detail): boolean => one.systems.length > 1 || Boolean(one.rule.conflicts) || Object.keys(one.rule.owners ?? {}).length > 0 || Object.keys(one.rule.fields ?? {}).length > 0
  return (
    <Page title={t('title')} lead={t('lead')} actions={<Link to="/conflicts"><Button icon={<ForkOutlined />}>{t('conflicts')}</Button></Link>}>
      <Loaded query={query}>
        {(all) => {
          const shown = all.filter(said).sort((a, b) => b.systems.length - a.systems.length)
          if (shown.length === 0) return <div className="panel"><Nothing title={t('none')} hint={t('noneHint')} /></div>
          const asked = params.get('entity')
          const current = shown.find((one) => one.entity === asked) ?? shown[0]
          return (
            <Tabs activeKey={current?.entity} onChange={(entity) => setParams({ entity }, { replace: true })} items={shown.map((one) => ({
              key: one.entity, label: <span className="row">{entityName(one.entity)}{one.warnings.length > 0 && <span className="tally" role="img" aria-label={t('warning')}>!</span>}</span>, children: <Stored key={one.entity} detail={one} />,
            }))} />
          )
        }}
      </Loaded>
    </Page>
  )
}

function Stored({ detail }: { detail: Detail }) {
  const settled = useSettled(detail)
  return <><Moved settled={settled} /><Editor key={settled.shown.etag} detail={settled.shown} touch={settled.touch} /></>
}

function Editor({ detail, touch }: { detail: Detail; touch: (dirty: boolean) => void }) {
  const { t } = useTranslation('entities')
  const { t: common } = useTranslation()
  const say = useSay()
  const { may } = useSession()
  const [rule, setRule] = useState<Rule>(detail.rule)
  const fixed = !may('editor')
  const dirty = JSON.stringify(rule) !== JSON.stringify(detail.rule)
  const save = useChange<undefined, Detail>(
    () => ask(api.PUT('/api/v1/entities/{entity}', { params: { path: { entity: detail.entity }, header: { 'if-match': detail.etag } }, body: rule as Schemas['EntityRule'] })),
    { stale: ['entities', 'routes'], quiet: true, done: t('saved'), then: () => touch(false) },
  )
  function change(next: Rule): void {
    setRule(next)
    touch(true)
  }
  const systems = ranked(rule, detail.systems)
  return (
    <div className="stack">
      {detail.warnings.map((one, i) => <Alert key={i} type="warning" showIcon title={t('warning')} description={say(one)} />)}
      <section className="panel rule-rest">
        <div>
          <h2>{t('otherwise')}</h2>
          <p className="dim">{detail.systems.length > 1 ? t('both', { systems: detail.systems.join('、') }) : t('oneWay')}</p>
          <Radio.Group className="radios" disabled={fixed} value={rule.conflicts ?? 'newest'} onChange={(event) => change({ ...rule, conflicts: event.target.value as Policy })} aria-label={t('otherwise')}>
            {POLICIES.map((one) => <Radio key={one} value={one}>{t(`policy.${one}`)}<small className="dim">{t(`hint.${one}`)}</small></Radio>)}
          </Radio.Group>
        </div>
        {needsRank(rule) && (
          <div>
            <h3>{t('rank')}</h3><p className="dim">{t('rankHint')}</p>
            <ol className="rank">{systems.map((one, i) => (
              <li key={one}><b>{i + 1}</b><span className="grow">{one}</span>
                <Button size="small" type="text" icon={<ArrowUpOutlined />} disabled={fixed || i === 0} aria-label={t('up', { name: one })} onClick={() => change(moved(rule, detail.systems, one, -1))} />
                <Button size="small" type="text" icon={<ArrowDownOutlined />} disabled={fixed || i === systems.length - 1} aria-label={t('down', { name: one })} onClick={() => change(moved(rule, detail.systems, one, 1))} />
              </li>
            ))}</ol>
          </div>
        )}
      </section>
      <Matrix detail={detail} rule={rule} fixed={fixed} choose={(path, choice) => change(choose(rule, path, choice))} />
      {save.error && <Trouble error={save.error} />}
      {!fixed && dirty && <div className="bar"><span className="dim">{t('changed')}</span><span className="row"><Button onClick={() => { setRule(detail.rule); touch(false) }}>{common('undo')}</Button><Button type="primary" loading={save.isPending} onClick={() => save.mutate(undefined)}>{common('save')}</Button></span></div>}
    </div>
  )
}

function Matrix({ detail, rule, fixed, choose: pick }: { detail: Detail; rule: Rule; fixed: boolean; choose: (path: string, choice: Choice) => void }) {
  const { t } = useTranslation('entities')
  const language = useLanguage()
  const [q, setQ] = useState('')
  const owners = [...new Set([...detail.systems, ...Object.values(rule.owners ?? {})])]
  const columns: [Choice, string, string][] = [
    ['none', t('asDefault'), t('asDefault')], ...owners.map((one): [Choice, string, string] => [`owner:${one}`, one, t('owner', { name: one })]), ...POLICIES.map((one): [Choice, string, string] => [one, t(`short.${one}`), t(`policy.${one}`)]),
  ]
  const every = paths(detail.fields, rule)
  const shown = every.filter((path) => score(q, [path, fieldName(path, language)]) > 0)
  return (
    <section className="panel">
      <div className="row apart"><h2>{t('matrix')}</h2>{every.length > 8 && <Input allowClear style={{ width: 200 }} placeholder={t('find')} aria-label={t('find')} value={q} onChange={(event) => setQ(event.target.value)} />}</div>
      <p className="dim">{t('matrixHint')}</p>
      <div className="matrix" tabIndex={0} role="group" aria-label={t('matrix')}>
        <table>
          <thead><tr><th scope="col">{t('field')}</th>{columns.map(([choice, name]) => <th scope="col" key={choice} className={choice.startsWith('owner:') ? 'of-system' : undefined}>{name}</th>)}</tr></thead>
          <tbody>
            {shown.map((path) => {
              const own = choiceOf(rule, path)
              const above = own === 'none' ? speaker(rule, path) : null
              const name = fieldName(path, language)
              return (
                <tr key={path} className={own !== 'none' ? 'ruled' : undefined}>
                  <th scope="row">{name}{above && <small className="dim">{t('inherited', { name: fieldName(above, language) })}</small>}</th>
                  {columns.map(([choice, , words]) => <td key={choice}><label><input type="radio" name={`${detail.entity}/${path}`} checked={own === choice} disabled={fixed} onChange={() => pick(path, choice)} aria-label={`${name}: ${words}`} /></label></td>)}
                </tr>
              )
            })}
          </tbody>
        </table>
      </div>
    </section>
  )
}
