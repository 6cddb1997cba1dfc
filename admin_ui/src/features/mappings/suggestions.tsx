/** Likely pairs to accept one by one or all at once. Nothing is joined without somebody saying so. */
import { Button, Drawer } from 'antd'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { useLanguage } from '@/i18n'
import { fieldName } from '@/i18n/fields'
import { Nothing } from '@/kit/page'
import { filledAlone, type Cell, type Line } from './columns'
import { read, type Mapping } from './document'
import { join, suggestions, type Suggestion } from './joining'

export function Suggestions({ left, right, lines, mapping, text, change, close }: { left: Cell[]; right: Cell[]; lines: Line[]; mapping: Mapping; text: string; change: (text: string) => void; close: () => void }) {
  const { t } = useTranslation('mappings')
  const language = useLanguage()
  const found = useMemo(() => {
    const lists = new Map(lines.filter((one) => one.rule.each).map((one) => [one.left.split('|')[0] ?? '', one.right.split('|')[0] ?? '']))
    return suggestions(left, right, new Set(lines.map((one) => one.left)), new Set([...lines.map((one) => one.right), ...filledAlone(mapping).keys()]), lists)
  }, [left, right, lines, mapping])

  function accept(all: Suggestion[]): void {
    let next = text
    for (const one of all) {
      const now = read(next)
      if (now) next = join(next, now, one.left, one.right)
    }
    change(next)
  }

  return (
    <Drawer open onClose={close} size={480} title={t('suggestTitle')} extra={found.length > 1 && <Button type="primary" onClick={() => accept(found)}>{t('acceptAll')}</Button>}>
      {found.length === 0 ? <Nothing title={t('suggestNone')} /> : (
        <ul className="suggestions">
          {found.map((one) => (
            <li key={one.right.key}>
              <div className="grow"><code>{one.left.path}</code> → <strong>{fieldName(one.right.path, language)}</strong><br /><span className="dim clip" style={{ maxWidth: 320 }}>{String(one.left.value ?? '')}</span></div>
              <Button size="small" onClick={() => accept([one])}>{t('accept')}</Button>
            </li>
          ))}
        </ul>
      )}
    </Drawer>
  )
}
