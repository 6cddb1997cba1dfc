/** Reading and changing, the same way on every page: problems in the server's words, a toast when it worked. */
import { useInfiniteQuery, useMutation, useQueryClient, type UseMutationResult } from '@tanstack/react-query'
import { App } from 'antd'
import { useTranslation } from 'react-i18next'
import { Problem } from '@/api/client'

export interface Paged<T> {
  items: T[]
  next_cursor?: string | null
}

/** A list of any length: pages by cursor, one after the other. `again` says after how many milliseconds it is asked for anew. */
export function usePaged<T>(key: readonly unknown[], page: (cursor: string | undefined) => Promise<Paged<T>>, again: (items: T[]) => number | false = () => false) {
  const found = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam }) => page(pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    refetchInterval: (query) => again(query.state.data?.pages.flatMap((one) => one.items) ?? []),
  })
  return { ...found, items: found.data?.pages.flatMap((one) => one.items) ?? [] }
}

/** Every item of a list that is short by nature (connections, routes). */
export async function whole<T>(page: (cursor: string | undefined) => Promise<Paged<T>>): Promise<T[]> {
  const found: T[] = []
  let cursor: string | undefined
  do {
    const got = await page(cursor)
    found.push(...got.items)
    cursor = got.next_cursor ?? undefined
  } while (cursor)
  return found
}

/** A change. Lists under `stale` are asked for again; a problem becomes a message unless `quiet`. */
export function useChange<Given, Made>(
  change: (given: Given) => Promise<Made>,
  how: { stale?: string[]; done?: string; quiet?: boolean; then?: (made: Made, given: Given) => void } = {},
): UseMutationResult<Made, Error, Given> {
  const queries = useQueryClient()
  const { message } = App.useApp()
  const tell = useProblemWords()
  return useMutation({
    mutationFn: change,
    onSuccess: async (made, given) => {
      await Promise.all((how.stale ?? []).map((key) => queries.invalidateQueries({ queryKey: [key] })))
      if (how.done) message.success(how.done)
      how.then?.(made, given)
    },
    onError: (error) => {
      if (!how.quiet) message.error(tell(error))
    },
  })
}

/** One line for people about what went wrong. */
export function useProblemWords(): (error: unknown) => string {
  const { t } = useTranslation()
  return (error) => {
    if (!(error instanceof Problem)) return t('failed')
    if (error.code === 'stale') return t('stale')
    const faults = (error.body.errors ?? []).map((one) => one.detail).filter(Boolean)
    const said = [error.body.title, error.body.detail].filter(Boolean).join('：')
    return [said, ...faults.slice(0, 3)].join(' · ')
  }
}
