/**
 * The canvas: two columns of fields joined by lines. Drag from dot to dot, or pick one and then the other (by mouse or
 * keyboard). Rows have one height, so lines are drawn without measuring and a thousand fields stay quick.
 */
import { Input, Segmented } from 'antd'
import { useMemo, useRef, useState, type PointerEvent } from 'react'
import { useTranslation } from 'react-i18next'
import { useLanguage } from '@/i18n'
import { fieldName } from '@/i18n/fields'
import { fold } from '@/lib/search'
import { filledAlone, type Cell, type Line } from './columns'
import type { Mapping } from './document'
import { join } from './joining'
import type { Chosen } from './rule-drawer'

const ROW = 38

interface Props {
  left: Cell[]
  right: Cell[]
  lines: Line[]
  mapping: Mapping
  text: string
  system: string
  editable: boolean
  change: (text: string) => void
  choose: (chosen: Chosen) => void
}

type Show = 'all' | 'mapped' | 'open'

export function Canvas(props: Props) {
  const { t } = useTranslation('mappings')
  const language = useLanguage()
  const [q, setQ] = useState('')
  const [show, setShow] = useState<Show>('all')
  const [picked, setPicked] = useState<Cell | null>(null)
  const [pull, setPull] = useState<{ cell: Cell; x: number; y: number } | null>(null)
  const wires = useRef<SVGSVGElement>(null)
  const joinedLeft = useMemo(() => new Set(props.lines.map((one) => one.left)), [props.lines])
  const joinedRight = useMemo(() => new Set(props.lines.map((one) => one.right)), [props.lines])
  const alone = useMemo(() => filledAlone(props.mapping), [props.mapping])

  const visible = (cells: Cell[], joined: Set<string>, naming: (cell: Cell) => string): Cell[] =>
    cells.filter((one) => one.head || ((show === 'all' || (joined.has(one.key) || alone.has(one.key)) === (show === 'mapped')) && (!q || fold(`${one.group}${one.path}${naming(one)}${String(one.value ?? '')}`).includes(fold(q)) || partner(one, props.lines, q))))
  const left = visible(props.left, joinedLeft, () => '')
  const right = visible(props.right, joinedRight, (one) => fieldName(one.path, language))
  const leftAt = new Map(left.map((one, i) => [one.key, i * ROW + ROW / 2]))
  const rightAt = new Map(right.map((one, i) => [one.key, i * ROW + ROW / 2]))
  const high = Math.max(left.length, right.length) * ROW

  function finish(target: Cell | undefined): void {
    const from = pull?.cell ?? picked
    setPull(null)
    setPicked(null)
    if (from && target && props.editable) props.change(join(props.text, props.mapping, from, target))
  }

  function at(event: PointerEvent): { x: number; y: number } {
    const box = wires.current?.getBoundingClientRect()
    return box ? { x: ((event.clientX - box.left) / box.width) * 100, y: event.clientY - box.top } : { x: 0, y: 0 }
  }

  return (
    <div className="map-canvas panel">
      <div className="row apart map-tools">
        <span className="dim">{picked ? t('picked', { path: picked.path }) : props.editable ? t('dragHint') : ''}</span>
        <span className="row"><Segmented<Show> size="small" value={show} onChange={setShow} options={(['all', 'mapped', 'open'] as const).map((one) => ({ value: one, label: t(`filter.${one}`) }))} /><Input size="small" allowClear style={{ width: 180 }} placeholder={t('find2')} aria-label={t('find2')} value={q} onChange={(event) => setQ(event.target.value)} /></span>
      </div>
      <div className="map-heads"><strong>{t('native', { name: props.system })}</strong><span /><strong>{t('standard')}</strong></div>
      <div
        className={pull ? 'map-body pulling' : 'map-body'}
        onPointerMove={(event) => pull && setPull({ ...pull, ...at(event) })}
        onPointerUp={(event) => {
          if (!pull) return
          const key = (document.elementFromPoint(event.clientX, event.clientY)?.closest('[data-right]') as HTMLElement | null)?.dataset.right
          finish(key === undefined ? undefined : right.find((one) => one.key === key))
        }}
        onPointerCancel={() => setPull(null)}
      >
        <ul className="map-column" aria-label={t('native', { name: props.system })}>
          {left.map((one) => (
            <Row key={one.key} cell={one} side="left" name={one.head ? one.group.split('/').pop() ?? '' : one.path} joined={joinedLeft.has(one.key)} picked={picked?.key === one.key}
              choose={() => chosenOf(props, one, 'left')}
              dot={props.editable && (
                <button type="button" className="dot" aria-label={t('connect', { path: one.path || one.group })} aria-pressed={picked?.key === one.key}
                  onPointerDown={(event) => { event.preventDefault(); event.currentTarget.releasePointerCapture?.(event.pointerId); setPicked(null); setPull({ cell: one, ...at(event) }) }}
                  onClick={(event) => { if (event.detail === 0 || !pull) setPicked(picked?.key === one.key ? null : one) }} />
              )} />
          ))}
        </ul>
        <svg ref={wires} className="map-wires" viewBox={`0 0 100 ${high}`} height={high} preserveAspectRatio="none" aria-hidden="true">
          {props.lines.map((one) => {
            const from = leftAt.get(one.left)
            const to = rightAt.get(one.right)
            if (from === undefined || to === undefined) return null
            const path = `M0 ${from} C 45 ${from} 55 ${to} 100 ${to}`
            return (
              <g key={one.rule.at.join('.')} className={`wire way-${one.rule.way}${one.rule.each ? ' wire-list' : ''}`} onClick={() => props.choose({ at: one.rule.at })}>
                <path d={path} className="wire-touch" vectorEffect="non-scaling-stroke" /><path d={path} className="wire-line" vectorEffect="non-scaling-stroke" />
              </g>
            )
          })}
          {pull && <path className="wire-pull" vectorEffect="non-scaling-stroke" d={`M0 ${leftAt.get(pull.cell.key) ?? 0} C 45 ${leftAt.get(pull.cell.key) ?? 0} ${Math.max(0, pull.x - 40)} ${pull.y} ${pull.x} ${pull.y}`} />}
        </svg>
        <ul className="map-column" aria-label={t('standard')}>
          {right.map((one) => (
            <Row key={one.key} cell={one} side="right" name={one.head ? fieldName(one.group.split('/').pop() ?? '', language) : fieldName(one.path, language)} joined={joinedRight.has(one.key)} alone={alone.has(one.key)}
              choose={() => chosenOf(props, one, 'right', alone)}
              dot={props.editable && <button type="button" className="dot" aria-label={t('connect', { path: one.path || one.group })} disabled={!picked && !pull} onClick={() => picked && finish(one)} />} />
          ))}
        </ul>
      </div>
    </div>
  )
}

function partner(cell: Cell, lines: Line[], q: string): boolean {
  return lines.some((one) => (one.left === cell.key && fold(one.right).includes(fold(q))) || (one.right === cell.key && fold(one.left).includes(fold(q))))
}

function chosenOf(props: Props, cell: Cell, side: 'left' | 'right', alone?: Map<string, { at: Line['rule']['at'] }>): void {
  const line = props.lines.find((one) => one[side] === cell.key)
  const rule = line?.rule ?? alone?.get(cell.key)
  if (rule) props.choose({ at: rule.at })
}

function Row({ cell, side, name, joined, alone, picked, dot, choose }: { cell: Cell; side: 'left' | 'right'; name: string; joined: boolean; alone?: boolean; picked?: boolean; dot: React.ReactNode; choose: () => void }) {
  const { t } = useTranslation('mappings')
  const value = cell.head || cell.value === undefined || cell.value === null ? '' : typeof cell.value === 'object' ? '{…}' : String(cell.value)
  const classes = ['map-row', `map-${side}`, cell.head && 'map-group', joined || alone ? 'joined' : '', picked && 'picked', cell.group && !cell.head && 'indent'].filter(Boolean).join(' ')
  return (
    <li className={classes} style={{ height: ROW }} {...(side === 'right' ? { 'data-right': cell.key } : { 'data-left': cell.key })}>
      {side === 'right' && dot}
      <button type="button" className="map-name" onClick={choose} title={`${cell.group ? `${cell.group} › ` : ''}${cell.path}${value ? ` = ${value}` : ''}`} disabled={!joined && !alone}>
        <span className={side === 'left' ? 'mono clip' : 'clip'}>{name || cell.path}{cell.required && <em className="needed" title={t('required')}> *</em>}{cell.head && <span className="tag">{t('list')}</span>}</span>
        {side === 'right' && !cell.head && <code className="dim clip map-path">{cell.path}</code>}
      </button>
      <span className="map-value clip">{value}</span>
      {side === 'left' && dot}
    </li>
  )
}
