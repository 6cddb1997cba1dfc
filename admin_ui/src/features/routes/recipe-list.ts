/**
 * Ready routes, said in kinds of systems and business objects. Which connections fit is found by what their
 * connectors declare, so a recipe works with systems that did not exist when it was written.
 */
import type { Schemas } from '@/api/client'
import type { Connection, Connector } from '@/data/catalogue'
import { carries, type MappingSummary } from './fitting'

export type RecipeId = 'paid' | 'ship' | 'tell' | 'customerIn' | 'customerOut' | 'last' | 'wms' | 'stock'

export interface Recipe {
  id: RecipeId
  from: { categories: string[]; entity: string }
  to: { categories: string[]; kinds: string[]; template?: boolean; entity?: string }
  when?: string
}

const SHOPS = ['marketplace', 'mall']

export const RECIPES: Recipe[] = [
  { id: 'paid', from: { categories: SHOPS, entity: 'order' }, to: { categories: ['erp'], entity: 'order', kinds: ['write'] }, when: 'order.status == "paid" && !order.hold' },
  { id: 'wms', from: { categories: SHOPS, entity: 'order' }, to: { categories: ['wms'], entity: 'order', kinds: ['write', 'act'] }, when: 'order.status == "paid" && !order.hold' },
  { id: 'ship', from: { categories: ['wms', 'erp'], entity: 'shipment' }, to: { categories: SHOPS, entity: 'shipment', kinds: ['act', 'write'] }, when: 'shipment.status == "shipped"' },
  { id: 'tell', from: { categories: ['wms', 'erp'], entity: 'shipment' }, to: { categories: ['messaging', 'oa'], entity: 'message', kinds: ['act'], template: true }, when: 'shipment.status == "shipped"' },
  { id: 'last', from: { categories: ['wms', 'erp'], entity: 'shipment' }, to: { categories: ['crm'], kinds: ['write', 'act'] }, when: 'shipment.status == "shipped"' },
  { id: 'customerIn', from: { categories: ['crm'], entity: 'customer' }, to: { categories: ['erp'], entity: 'customer', kinds: ['write'] } },
  { id: 'customerOut', from: { categories: ['erp'], entity: 'customer' }, to: { categories: ['crm'], entity: 'customer', kinds: ['write'] } },
  { id: 'stock', from: { categories: ['wms', 'erp'], entity: 'inventory' }, to: { categories: SHOPS, entity: 'inventory', kinds: ['write', 'act'] } },
]

export interface Choice {
  sources: Connection[]
  targets: { connection: Connection; operation: Schemas['OperationSummary'] }[]
}

/** Which of a site's connections fit a recipe, the likeliest operation of each target. */
export function choices(recipe: Recipe, connections: Connection[], connectors: Map<string, Connector>, mappings: MappingSummary[]): Choice {
  const fits = (one: Connection, categories: string[]): Connector | undefined => {
    const kind = connectors.get(one.connector)
    return kind && categories.includes(kind.category) ? kind : undefined
  }
  return {
    sources: connections.filter((one) => fits(one, recipe.from.categories)?.doors.some((door) => door.entities.includes(recipe.from.entity))),
    targets: connections.flatMap((connection) => {
      const operations = (fits(connection, recipe.to.categories)?.operations ?? []).filter((one) => one.target && recipe.to.kinds.includes(one.kind) && (!recipe.to.entity || one.entity === recipe.to.entity) && carries(connection.connector, one, recipe.to.template ? 'message' : recipe.from.entity, mappings))
      const operation = [...operations].sort((a, b) => recipe.to.kinds.indexOf(a.kind) - recipe.to.kinds.indexOf(b.kind))[0]
      return operation ? [{ connection, operation }] : []
    }),
  }
}
