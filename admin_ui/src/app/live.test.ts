import { expect, it } from 'vitest'
import { changed } from './live'

it('asks again only for what moved', () => {
  expect(changed({ events: 1, audit: 4 }, { events: 2, audit: 4 })).toEqual(['overview', 'connection-events'])
  expect(changed({}, { events: 2 })).toEqual([])
  expect(changed({ configuration: 1 }, { configuration: 2 })).toContain('routes')
})
