/** What is configured, read once and shared by the pages: connectors, connections, routes, mappings, templates, models. */
import { useQueries, useQuery, type UseQueryResult } from '@tanstack/react-query'
import { api, ask, type Schemas } from '@/api/client'
import { whole } from '@/kit/query'

export type Connector = Schemas['Connector']
export type ConnectorSummary = Schemas['ConnectorSummary']
export type Connection = Schemas['Connection']
export type RouteDetail = Schemas['RouteDetail']
export type Template = Schemas['Template']
export type ModelField = Schemas['ModelField']

const page = (cursor: string | undefined) => ({ params: { query: { limit: 200, cursor } } })
const RARELY = 5 * 60_000

export const useConnectors = (): UseQueryResult<ConnectorSummary[]> =>
  useQuery({ queryKey: ['connectors'], staleTime: RARELY, queryFn: () => whole((cursor) => ask(api.GET('/api/v1/connectors', page(cursor)))) })

const connectorQuery = (id: string) => ({
  queryKey: ['connector', id],
  staleTime: RARELY,
  queryFn: () => ask(api.GET('/api/v1/connectors/{id}', { params: { path: { id } } })),
})

export const useConnector = (id: string | undefined): UseQueryResult<Connector> =>
  useQuery({ ...connectorQuery(id ?? ''), enabled: Boolean(id) })

/** The full declarations of several connectors, by id; those not there yet are missing. */
export function useConnectorsOf(ids: string[]): Map<string, Connector> {
  const unique = [...new Set(ids)].sort()
  return useQueries({
    queries: unique.map((id) => connectorQuery(id)),
    combine: (found) => new Map(found.flatMap((one, i) => (one.data ? [[unique[i] ?? '', one.data] as const] : []))),
  })
}

export const useConnections = (): UseQueryResult<Connection[]> =>
  useQuery({ queryKey: ['connections'], queryFn: () => whole((cursor) => ask(api.GET('/api/v1/connections', page(cursor)))) })

export const useConnection = (key: string): UseQueryResult<Connection> =>
  useQuery({ queryKey: ['connections', key], queryFn: () => ask(api.GET('/api/v1/connections/{key}', { params: { path: { key } } })) })

export const useRoutes = (): UseQueryResult<RouteDetail[]> =>
  useQuery({ queryKey: ['routes'], queryFn: () => whole((cursor) => ask(api.GET('/api/v1/routes', page(cursor)))) })

export const useRecipes = (): UseQueryResult<Schemas['Recipe'][]> =>
  useQuery({ queryKey: ['recipes'], queryFn: () => whole((cursor) => ask(api.GET('/api/v1/recipes', page(cursor)))) })

export const useTemplates = (): UseQueryResult<Template[]> =>
  useQuery({ queryKey: ['templates'], queryFn: () => whole((cursor) => ask(api.GET('/api/v1/templates', page(cursor)))) })

export const useMappings = (): UseQueryResult<Schemas['MappingSummary'][]> =>
  useQuery({ queryKey: ['mappings'], queryFn: () => whole((cursor) => ask(api.GET('/api/v1/mappings', page(cursor)))) })

export const useModel = (entity: string | undefined): UseQueryResult<Schemas['Model']> =>
  useQuery({
    queryKey: ['model', entity],
    staleTime: RARELY,
    enabled: Boolean(entity),
    queryFn: () => ask(api.GET('/api/v1/models/{entity}', { params: { path: { entity: entity ?? '' } } })),
  })
