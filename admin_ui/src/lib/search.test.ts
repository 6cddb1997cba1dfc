import { expect, it } from 'vitest'
import { score } from './search'

const NAMES = ['kingdee', '金蝶云星空', 'Kingdee Cloud', 'jindie', 'K/3 Cloud', 'kehu guanli']

it.each(['金蝶', 'jindie', 'JinDie', 'k3', 'K/3', 'kehuguanli', 'kè hù', '星空'])('finds by %s', (q) => expect(score(q, NAMES)).toBeGreaterThan(0))
it('puts whole names before parts', () => expect(score('jindie', NAMES)).toBeGreaterThan(score('jin', NAMES)))
it('does not find what is not there', () => expect(score('taobao', NAMES)).toBe(0))
it('everything fits nothing typed', () => expect(score('  ', NAMES)).toBe(1))
