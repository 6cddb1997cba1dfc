/** Live updates: one stream of server-sent events; what it names as changed is asked for again. */
import { useQueryClient } from '@tanstack/react-query'
import { createContext, useContext, useEffect, useRef, useState, type ReactNode } from 'react'
import type { Schemas } from '@/api/client'

export type Marks = Partial<Record<'events' | 'deliveries' | 'attempts' | 'configuration' | 'audit' | 'quarantine' | 'alerts', number>>

interface Live {
  connected: boolean
  marks: Marks
  balance: Schemas['Balance'] | null
}

/** Which lists a growing number makes old. The event list itself is not pulled away under a reader's eyes. */
const STALE: Record<keyof Marks, string[]> = {
  events: ['overview', 'connection-events'],
  deliveries: ['overview', 'failures'],
  attempts: ['overview', 'failures', 'timeline', 'deliveries'],
  configuration: ['overview', 'connections', 'routes', 'mappings', 'templates', 'alerts', 'alert-channels'],
  audit: ['audit'],
  quarantine: ['quarantine'],
  alerts: ['alerts', 'alarms', 'notices', 'overview'],
}
/** Milliseconds between two rounds of asking again. */
const CALM = 2500

const Current = createContext<Live>({ connected: false, marks: {}, balance: null })

export const useLive = (): Live => useContext(Current)

export function changed(before: Marks, after: Marks): string[] {
  const found = new Set<string>()
  for (const name of Object.keys(STALE) as (keyof Marks)[]) {
    if (before[name] !== undefined && after[name] !== undefined && before[name] !== after[name]) {
      for (const one of STALE[name]) found.add(one)
    }
  }
  return [...found]
}

export function LiveProvider({ children }: { children: ReactNode }) {
  const [live, setLive] = useState<Live>({ connected: false, marks: {}, balance: null })
  const queries = useQueryClient()
  const marks = useRef<Marks>({})
  const waiting = useRef(new Set<string>())

  useEffect(() => {
    let source: EventSource | null = null
    const open = (): void => {
      source = new EventSource('/api/v1/live')
      source.onopen = () => setLive((now) => ({ ...now, connected: true }))
      source.onerror = () => setLive((now) => ({ ...now, connected: false }))
      source.onmessage = (event: MessageEvent<string>) => {
        const told = JSON.parse(event.data) as { marks: Marks; balance: Schemas['Balance'] | null }
        for (const key of changed(marks.current, told.marks)) waiting.current.add(key)
        marks.current = told.marks
        setLive({ connected: true, marks: told.marks, balance: told.balance })
      }
    }
    // A browser keeps six connections to one host: a tab that nobody sees must not hold one of them.
    const seen = (): void => {
      if (document.visibilityState === 'hidden') {
        source?.close()
        source = null
      } else if (!source) open()
    }
    seen()
    document.addEventListener('visibilitychange', seen)
    const timer = setInterval(() => {
      for (const key of waiting.current) void queries.invalidateQueries({ queryKey: [key] })
      waiting.current.clear()
    }, CALM)
    return () => {
      document.removeEventListener('visibilitychange', seen)
      source?.close()
      clearInterval(timer)
    }
  }, [queries])

  return <Current.Provider value={live}>{children}</Current.Provider>
}
