/** Who is signed in, and what they may do. */
import { useQueryClient } from '@tanstack/react-query'
import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from 'react'
import { api, ask, hold, onSignedOut, Problem, type Schemas } from '@/api/client'

export type Role = 'viewer' | 'operator' | 'editor' | 'owner'
const ORDER: Role[] = ['viewer', 'operator', 'editor', 'owner']

interface Session {
  me: Schemas['Me'] | null
  /** Not known yet; null after the first answer. */
  waiting: boolean
  problem: Problem | null
  signIn: (name: string, password: string) => Promise<void>
  signOut: () => Promise<void>
  /** Whether the role of who is signed in is at least this. */
  may: (role: Role) => boolean
}

const Current = createContext<Session | null>(null)

export function useSession(): Session {
  const found = useContext(Current)
  if (!found) throw new Error('outside of SessionProvider')
  return found
}

export function SessionProvider({ children, known }: { children: ReactNode; known?: Schemas['Me'] }) {
  const [me, setMe] = useState<Schemas['Me'] | null>(known ?? null)
  const [waiting, setWaiting] = useState(!known)
  const [problem, setProblem] = useState<Problem | null>(null)
  const queries = useQueryClient()

  useEffect(() => {
    if (known) return
    ask(api.GET('/api/v1/sessions/current'))
      .then((found) => take(found))
      .catch((error: unknown) => setProblem(error instanceof Problem && error.code !== 'unauthenticated' ? error : null))
      .finally(() => setWaiting(false))
  }, [known])

  useEffect(
    () =>
      onSignedOut(() => {
        setMe(null)
        queries.clear()
      }),
    [queries],
  )

  function take(found: Schemas['Me'] | null): void {
    hold({ csrf: found?.csrf ?? '' })
    setMe(found)
    setProblem(null)
  }

  const value = useMemo<Session>(
    () => ({
      me,
      waiting,
      problem,
      signIn: async (name, password) => take(await ask(api.POST('/api/v1/sessions', { body: { name, password } }))),
      signOut: async () => {
        await ask(api.DELETE('/api/v1/sessions/current')).catch(() => undefined)
        take(null)
        queries.clear()
      },
      may: (role) => ORDER.indexOf((me?.role ?? 'viewer') as Role) >= ORDER.indexOf(role),
    }),
    [me, waiting, problem, queries],
  )
  return <Current.Provider value={value}>{children}</Current.Provider>
}
