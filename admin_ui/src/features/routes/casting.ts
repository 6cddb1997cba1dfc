/** What an admin chose in a recipe, between the form and the API. The server says who fits; nothing here knows any system. */
import type { Schemas } from '@/api/client'

export type Recipe = Schemas['Recipe']
export type Casting = Schemas['Casting']
type Filling = Schemas['Filling']

/** The connections in each part, and the values: of all, and of single connections. */
export interface Chosen {
  parts: Record<string, string[]>
  values: Record<string, unknown>
  own: Record<string, Record<string, unknown>>
}

/** What the server suggests, with the defaults. */
export function suggested(recipe: Recipe): Chosen {
  return {
    parts: Object.fromEntries(recipe.parts.map((part) => [part.key, (recipe.suggested.parts?.[part.key] ?? []).map((one) => one.connection)])),
    values: Object.fromEntries(recipe.parameters.map((one) => [one.key, one.default ?? undefined])),
    own: {},
  }
}

/** The body of a preview or an installation. Parts that nobody plays and values that are empty are left out. */
export function toCasting(recipe: Recipe, chosen: Chosen): Casting {
  const filling = (part: string, connection: string): Filling => {
    const mine = recipe.parameters.filter((one) => one.per === part).map((one) => [one.key, chosen.own[connection]?.[one.key]] as const)
    return { connection, operations: {}, parameters: Object.fromEntries(mine.filter(([, value]) => filled(value))) }
  }
  const parts = Object.entries(chosen.parts).filter(([, those]) => those.length > 0)
  return {
    parts: Object.fromEntries(parts.map(([key, those]) => [key, those.map((one) => filling(key, one))])),
    parameters: Object.fromEntries(Object.entries(chosen.values).filter(([, value]) => filled(value))),
  }
}

const filled = (value: unknown): boolean => value !== undefined && value !== null && value !== ''

/** The parts that nobody here can play. */
export const unplayed = (recipe: Recipe): Recipe['parts'] => recipe.parts.filter((part) => !part.optional && part.fits.length === 0)
