/** The canvas: sources left, routes in the middle, targets right; dragging from left to right begins a new route. */
import '@xyflow/react/dist/style.css'
import { Background, Controls, Handle, Position, ReactFlow, type Connection as Joined, type Edge, type Node, type NodeProps } from '@xyflow/react'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { useSession } from '@/app/session'
import { useDark } from '@/app/theme'
import type { Connection, RouteDetail } from '@/data/catalogue'
import { Entity, State, useEntity } from '@/kit/bits'
import { chips, everyTarget } from './flow'

type SystemNode = Node<{ connection: Connection; side: 'from' | 'to' }, 'system'>
type RouteNode = Node<{ route: RouteDetail }, 'route'>

function System({ data }: NodeProps<SystemNode>) {
  return (
    <div className="flow-system">
      {data.side === 'to' && <Handle type="target" position={Position.Left} />}
      <strong>{data.connection.key}</strong><State of={data.connection.state} />
      {data.side === 'from' && <Handle type="source" position={Position.Right} />}
    </div>
  )
}

function RouteCard({ data: { route } }: NodeProps<RouteNode>) {
  return (
    <div className={route.enabled ? 'flow-route' : 'flow-route off'}>
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <div className="row apart"><strong className="clip">{route.label || route.key}</strong><Entity of={route.from.entity} /></div>
      {route.when && <code className="dim clip">{route.when}</code>}
      <Chips route={route} />
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  )
}

/** What a line cannot show: how long it waits, when it may go, what stops it, how many steps follow. */
function Chips({ route }: { route: RouteDetail }) {
  const { t } = useTranslation('routes')
  const { t: common } = useTranslation()
  const entity = useEntity()
  const words = chips(route).map((one) => {
    switch (one.kind) {
      case 'wait':
        return t('flowWait', { time: `${one.n} ${common(`unit.${one.unit}`)}` })
      case 'hours':
        return t('flowHours', { from: one.from, to: one.to })
      case 'unless':
        return t('flowUnless', { what: one.entities.map((each) => entity(each).toLowerCase()).join('、') })
      default:
        return t('flowMore', { n: one.n })
    }
  })
  return words.length > 0 && <div className="flow-chips">{words.map((one) => <span key={one} className="tag">{one}</span>)}</div>
}

const TYPES = { system: System, route: RouteCard }
const GAP = 108
/** Rows that are shown at first, readably; the rest is a drag away. */
const FIRST = 6

/** Rows for routes; systems stand at the middle height of what they are joined to, at least a row apart. */
export function arrange(routes: RouteDetail[], connections: Connection[]): { nodes: Node[]; edges: Edge[] } {
  const height = new Map(routes.map((one, i) => [one.key, i * GAP]))
  const spread = (side: 'from' | 'to', used: (one: RouteDetail) => string[]): SystemNode[] => {
    const wanted = connections.map((connection) => {
      const rows = routes.filter((one) => used(one).includes(connection.key)).map((one) => height.get(one.key) ?? 0)
      return { connection, at: rows.length ? rows.reduce((a, b) => a + b, 0) / rows.length : Number.MAX_SAFE_INTEGER }
    })
    let next = 0
    return wanted.sort((a, b) => a.at - b.at || a.connection.key.localeCompare(b.connection.key)).map(({ connection, at }) => {
      const y = at === Number.MAX_SAFE_INTEGER ? next : Math.max(next, at)
      next = y + GAP
      return { id: `${side}:${connection.key}`, type: 'system', position: { x: side === 'from' ? 0 : 780, y }, data: { connection, side }, draggable: false, ariaLabel: connection.key }
    })
  }
  const nodes: Node[] = [
    ...spread('from', (one) => [one.from.connection]),
    ...routes.map((route): RouteNode => ({ id: `route:${route.key}`, type: 'route', position: { x: 320, y: height.get(route.key) ?? 0 }, data: { route }, draggable: false, ariaLabel: route.label || route.key })),
    ...spread('to', (one) => everyTarget(one).map(({ target }) => target.connection)),
  ]
  const edges: Edge[] = routes.flatMap((route) => {
    const style = { strokeDasharray: route.enabled ? undefined : '4 5' }
    return [
      { id: `in:${route.key}`, source: `from:${route.from.connection}`, target: `route:${route.key}`, animated: Boolean(route.enabled), style },
      ...everyTarget(route).map(({ target, step }, i) => ({
        id: `out:${route.key}:${i}`, source: `route:${route.key}`, target: `to:${target.connection}`, animated: Boolean(route.enabled), style: step > 1 ? { ...style, strokeDasharray: '8 6' } : style, label: step > 1 ? String(step) : undefined, className: step > 1 ? 'edge-later' : undefined,
      })),
    ]
  })
  return { nodes, edges }
}

export default function Canvas({ routes, connections }: { routes: RouteDetail[]; connections: Connection[] }) {
  const { t } = useTranslation('routes')
  const { may } = useSession()
  const dark = useDark()
  const navigate = useNavigate()
  const { nodes, edges } = useMemo(() => arrange(routes, connections), [routes, connections])
  function join({ source, target }: Joined): void {
    if (!source.startsWith('from:') || !target.startsWith('to:')) return
    void navigate(`/routes/new?from=${source.slice(5)}&to=${target.slice(3)}`)
  }
  return (
    <>
      <p className="dim">{t('canvasHint')}</p>
      <div className="panel canvas">
        <ReactFlow nodes={nodes} edges={edges} nodeTypes={TYPES} onConnect={join} nodesConnectable={may('editor')} colorMode={dark ? 'dark' : 'light'} fitView fitViewOptions={{ nodes: nodes.filter((one) => one.position.y < FIRST * GAP), maxZoom: 1 }} minZoom={0.2}
          onNodeClick={(_, node) => void navigate(node.id.startsWith('route:') ? `/routes/${node.id.slice(6)}` : `/connections/${node.id.replace(/^\w+:/, '')}`)}>
          <Background gap={22} />
          <Controls showInteractive={false} />
        </ReactFlow>
      </div>
    </>
  )
}
