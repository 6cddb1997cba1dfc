/** The same rules as a table: everything the canvas can do, without a mouse. */
import { Table } from 'antd'
import { useTranslation } from 'react-i18next'
import { useLanguage } from '@/i18n'
import { fieldName } from '@/i18n/fields'
import { cellKey, type Cell } from './columns'
import type { Mapping, Rule } from './document'
import type { Chosen } from './rule-drawer'

interface Flat {
  rule: Rule
  left: string
  right: string
  depth: number
}

function flat(rules: Rule[], left = '', right = '', depth = 0): Flat[] {
  return rules.flatMap((rule) => {
    const inner = rule.each ?? rule.inside
    const join = (around: string, path: string | undefined): string => [around, path].filter(Boolean).join('/')
    return [{ rule, left, right, depth }, ...(inner ? flat(inner, rule.each ? join(left, rule.native) : left, rule.each ? join(right, rule.canonical) : right, depth + 1) : [])]
  })
}

export function RuleTable({ mapping, choose, left, right }: { mapping: Mapping; choose: (chosen: Chosen) => void; left: Cell[]; right: Cell[] }) {
  const { t } = useTranslation('mappings')
  const language = useLanguage()
  const values = new Map<string, unknown>([...left.map((one) => [`l${one.key}`, one.value] as const), ...right.map((one) => [`r${one.key}`, one.value] as const)])
  const sample = (key: string): string => {
    const value = values.get(key)
    return value === undefined || value === null || typeof value === 'object' ? '' : String(value)
  }
  return (
    <div className="panel panel-table">
      <Table<Flat> size="middle" pagination={false} dataSource={flat(mapping.rules)} rowKey={(one) => one.rule.at.join('.')} scroll={{ x: 900 }} rowClassName="opens"
        onRow={(one) => ({ tabIndex: 0, onClick: () => choose({ at: one.rule.at }), onKeyDown: (event) => event.key === 'Enter' && choose({ at: one.rule.at }) })}
        columns={[
          { title: t('nativePath'), key: 'native', render: (_, one) => <span style={{ paddingLeft: one.depth * 22 }}>{one.rule.native !== undefined ? <code>{one.rule.native}</code> : <span className="dim">{'value' in one.rule.given ? `${t('constant')} ${String(one.rule.given.value)}` : t('expr')}</span>}<br /><span className="dim clip" style={{ maxWidth: 240 }}>{one.rule.native && sample(`l${cellKey(one.left, one.rule.native)}`)}</span></span> },
          { title: t('way'), key: 'way', width: 90, render: (_, one) => <span aria-label={t(`ways.${one.rule.way}`)} title={t(`ways.${one.rule.way}`)}>{one.rule.way === 'both' ? '⇄' : one.rule.way === 'from' ? '→' : '←'}</span> },
          { title: t('canonicalPath'), key: 'canonical', render: (_, one) => one.rule.canonical !== undefined && <span>{fieldName(one.rule.canonical, language)} <code className="dim">{one.rule.canonical}</code><br /><span className="dim clip" style={{ maxWidth: 240 }}>{sample(`r${cellKey(one.right, one.rule.canonical)}`)}</span></span> },
          { title: t('codec'), key: 'codec', render: (_, one) => (one.rule.codec ? <span className="tag">{t(`codecs.${one.rule.codec as 'text'}`)}</span> : one.rule.each ? <span className="tag">{t('list')}</span> : <span className="dim">{t('codecNone')}</span>) },
          { title: t('when'), key: 'when', render: (_, one) => typeof one.rule.given.when === 'string' && <code className="clip" style={{ maxWidth: 220 }}>{one.rule.given.when}</code> },
        ]} />
    </div>
  )
}
