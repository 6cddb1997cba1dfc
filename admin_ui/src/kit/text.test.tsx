/** What came from outside is text: whatever it looks like, no element is made of it. */
import { cleanup, render, screen } from '@testing-library/react'
import { afterEach, expect, it } from 'vitest'
import { JsonView } from './json-view'
import { inLanguage, Markdown } from './markdown'

afterEach(cleanup)
const EVIL = '<img src=x onerror=alert(1)><script>alert(2)</script>'

it('shows payloads as text', () => {
  const { container } = render(<JsonView value={{ [EVIL]: EVIL, list: [EVIL] }} open={5} />)
  expect(container.querySelector('img, script')).toBeNull()
  expect(screen.getAllByText(EVIL).length).toBeGreaterThanOrEqual(2)
})

it('shows guides without HTML and without strange links', () => {
  const { container } = render(<Markdown text={`# T\n\n${EVIL}\n\n- [a](javascript:alert(1)) [b](https://example.com/x)\n\n| k | v |\n|---|---|\n| \`${EVIL}\` | **x** |`} />)
  expect(container.querySelector('img, script')).toBeNull()
  expect([...container.querySelectorAll('a')].map((one) => one.getAttribute('href'))).toEqual(['https://example.com/x'])
  expect(container.querySelectorAll('td').length).toBe(2)
})

it('keeps lists inside of lists', () => {
  const { container } = render(<Markdown text={'1. one\n   goes on\n   - a\n   - b\n2. two'} />)
  expect(container.querySelectorAll('.prose > ol > li').length).toBe(2)
  expect(container.querySelectorAll('ol ul > li').length).toBe(2)
  expect(container.querySelector('ol > li')?.firstChild?.textContent).toBe('one goes on')
})

it('takes the language of the reader out of a guide in two', () => {
  const text = '# 名 · Name\n\n## 中文\n密钥\n\n## English\nKeys'
  expect(inLanguage(text, 'zh')).toContain('密钥')
  expect(inLanguage(text, 'zh')).not.toContain('Keys')
  expect(inLanguage(text, 'en')).not.toContain('密钥')
})
