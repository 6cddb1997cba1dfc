/** Data as a tree to read: folding, small, everything as text. Nothing in it is ever taken for markup. */
import { useState } from 'react'

export function JsonView({ value, open = 2, label }: { value: unknown; open?: number; label?: string }) {
  return <div className="json" role="group" aria-label={label} tabIndex={0}><Branch value={value} depth={0} open={open} /></div>
}

function Branch({ value, depth, open, name }: { value: unknown; depth: number; open: number; name?: string }) {
  const [shown, setShown] = useState(depth < open)
  const key = name === undefined ? null : <span className="json-key">{name}</span>
  if (value === null || typeof value !== 'object') {
    return <div className="json-row">{key}<Leaf value={value} /></div>
  }
  const entries = Array.isArray(value) ? value.map((one, i) => [String(i), one] as const) : Object.entries(value)
  const size = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`
  if (entries.length === 0) return <div className="json-row">{key}<span className="dim">{Array.isArray(value) ? '[]' : '{}'}</span></div>
  return (
    <div className="json-branch">
      <button type="button" className="json-fold" aria-expanded={shown} onClick={() => setShown(!shown)}>
        <span aria-hidden="true" className={shown ? 'fold open' : 'fold'}>▸</span>{key}<span className="dim">{size}</span>
      </button>
      {shown && <div className="json-inner">{entries.slice(0, 500).map(([at, one]) => <Branch key={at} name={at} value={one} depth={depth + 1} open={open} />)}</div>}
    </div>
  )
}

function Leaf({ value }: { value: unknown }) {
  if (value === null || value === undefined) return <span className="json-null">null</span>
  return <span className={`json-${typeof value}`}>{String(value)}</span>
}
