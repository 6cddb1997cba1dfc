/** Whether an operation can take an entity: by the mapping it would be written with, as the hub will decide too. */
import type { Schemas } from '@/api/client'

export type MappingSummary = Schemas['MappingSummary']

export function carries(connector: string, operation: Pick<Schemas['OperationSummary'], 'mapping' | 'entity'>, entity: string, mappings: MappingSummary[]): boolean {
  const name = operation.mapping ?? operation.entity ?? entity
  return mappings.some((one) => one.connector === connector && one.name === name && one.entity === entity && one.writes)
}
