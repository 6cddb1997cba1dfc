/** The one door to the admin API: typed by our OpenAPI document, with the CSRF token and the language of the page. */
import createClient, { type Middleware } from 'openapi-fetch'
import type { components, paths } from './schema.gen'

export type Schemas = components['schemas']
export type Words = Schemas['Words']
export type ProblemBody = Schemas['Problem']

/** An answer that is an error, in the words of the server. */
export class Problem extends Error {
  constructor(readonly body: ProblemBody) {
    super(body.detail || body.title)
  }

  get code(): string {
    return this.body.code
  }

  /** What is wrong with one field of a form, by the JSON pointer that leads to it. */
  at(pointer: string): string | undefined {
    return this.body.errors?.find((one) => one.pointer === pointer)?.detail
  }
}

const held = { csrf: '', language: 'zh' }
const gone = new Set<() => void>()

export function hold(part: Partial<typeof held>): void {
  Object.assign(held, part)
}

/** Calls back when the server says that nobody is signed in (any more). */
export function onSignedOut(call: () => void): () => void {
  gone.add(call)
  return () => void gone.delete(call)
}

const carried: Middleware = {
  onRequest({ request }) {
    request.headers.set('Accept-Language', held.language)
    if (!['GET', 'HEAD'].includes(request.method) && held.csrf) request.headers.set('X-CSRF-Token', held.csrf)
    return request
  },
  onResponse({ response, schemaPath }) {
    if (response.status === 401 && schemaPath !== '/api/v1/sessions') for (const call of gone) call()
    return response
  },
}

export const api = createClient<paths>({ baseUrl: globalThis.location?.origin ?? '', credentials: 'same-origin' })
api.use(carried)

interface Answer<T> {
  data?: T
  error?: unknown
  response: Response
}

/** The data of an answer; throws Problem. */
export async function ask<T>(answer: Promise<Answer<T>>): Promise<T> {
  let got: Answer<T>
  try {
    got = await answer
  } catch (error) {
    throw new Problem(lost(error))
  }
  if (got.response.ok) return got.data as T
  const body = got.error as Partial<ProblemBody> | undefined
  if (body && typeof body === 'object' && body.code) throw new Problem(body as ProblemBody)
  throw new Problem({ type: 'about:blank', title: `HTTP ${got.response.status}`, status: got.response.status, code: 'internal', trace_id: '' })
}

function lost(error: unknown): ProblemBody {
  const title = held.language === 'zh' ? '无法连接到枢纽，请检查网络或稍后重试' : 'The hub cannot be reached; check the network or try again'
  return { type: 'about:blank', title, status: 0, code: 'unavailable', detail: '', trace_id: String(error).slice(0, 60) }
}
