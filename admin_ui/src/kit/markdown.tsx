/** A connector's own guide, from Markdown to elements: headings, lists, tables, code, links. No HTML gets through. */
import { Fragment, type ReactNode } from 'react'

export function Markdown({ text }: { text: string }) {
  return <div className="prose">{blocks(text)}</div>
}

/** The part of a guide in one language: Chinese comes first, English from its own heading on. */
export function inLanguage(text: string, language: 'zh' | 'en'): string {
  const lines = text.split('\n')
  const english = lines.findIndex((line, i) => i > 0 && /^#{1,2}\s/.test(line) && !/[\u4e00-\u9fff]/.test(line))
  if (english < 0) return text
  return language === 'zh' ? lines.slice(0, english).join('\n') : lines.slice(english).join('\n')
}

function blocks(text: string): ReactNode[] {
  const lines = text.split('\n')
  const made: ReactNode[] = []
  let i = 0
  while (i < lines.length) {
    const line = lines[i] ?? ''
    const take = (fits: (line: string) => boolean): string[] => {
      const from = i
      while (i < lines.length && fits(lines[i] ?? '')) i++
      return lines.slice(from, i)
    }
    if (line.startsWith('```')) {
      i++
      const code = take((one) => !one.startsWith('```'))
      i++
      made.push(<pre key={i} tabIndex={0}><code>{code.join('\n')}</code></pre>)
    } else if (/^#{1,6}\s/.test(line)) {
      i++
      const level = (/^#+/.exec(line)?.[0].length ?? 1) + 1
      const Tag = `h${Math.min(6, Math.max(3, level))}` as 'h3'
      made.push(<Tag key={i}>{inline(line.replace(/^#+\s*/, ''))}</Tag>)
    } else if (line.startsWith('|')) {
      made.push(<Grid key={i} rows={take((one) => one.startsWith('|'))} />)
    } else if (/^\s*([-*]|\d+\.)\s/.test(line)) {
      made.push(<Items key={i} lines={take((one) => ITEM.test(one) || /^\s{2,}\S/.test(one))} />)
    } else if (line.startsWith('>')) {
      const quoted = take((one) => one.startsWith('>')).map((one) => one.replace(/^>\s?/, ''))
      made.push(<blockquote key={i}>{inline(quoted.join(' '))}</blockquote>)
    } else if (line.trim() === '') {
      i++
    } else {
      const words = take((one) => one.trim() !== '' && !/^(#{1,6}\s|\||```|>|\s*([-*]|\d+\.)\s)/.test(one))
      if (words.length === 0) i++
      made.push(<p key={i}>{inline(words.join(' '))}</p>)
    }
  }
  return made
}

const ITEM = /^\s*([-*]|\d+\.)\s/

/** A list; what is indented below an item is a list inside of it, or goes on with its words. */
function Items({ lines }: { lines: string[] }) {
  const deep = lines.find((one) => ITEM.test(one))?.search(/\S/) ?? 0
  const items: { words: string[]; below: string[] }[] = []
  for (const line of lines) {
    const last = items.at(-1)
    if (ITEM.test(line) && (line.search(/\S/) <= deep || !last)) items.push({ words: [line], below: [] })
    else if (last && (ITEM.test(line) || last.below.length > 0)) last.below.push(line)
    else last?.words.push(line)
  }
  const Tag = /^\s*\d+\./.test(lines[0] ?? '') ? 'ol' : 'ul'
  return <Tag>{items.map((one, n) => <li key={n}>{inline(joined(one.words)[0] ?? '')}{one.below.length > 0 && <Items lines={one.below} />}</li>)}</Tag>
}

function joined(lines: string[]): string[] {
  const made: string[] = []
  for (const line of lines) {
    if (/^\s*([-*]|\d+\.)\s/.test(line)) made.push(line.replace(/^\s*([-*]|\d+\.)\s+/, ''))
    else made[made.length - 1] = `${made[made.length - 1] ?? ''} ${line.trim()}`
  }
  return made
}

function Grid({ rows }: { rows: string[] }) {
  const cells = rows.filter((row) => !/^\|[\s:|-]+\|?$/.test(row)).map((row) => row.replace(/^\||\|\s*$/g, '').split(/(?<!\\)\|/).map((one) => one.trim()))
  const [head, ...body] = cells
  return (
    <div className="prose-grid" tabIndex={0}>
      <table>
        <thead><tr>{head?.map((one, i) => <th key={i}>{inline(one)}</th>)}</tr></thead>
        <tbody>{body.map((row, r) => <tr key={r}>{row.map((one, i) => <td key={i}>{inline(one)}</td>)}</tr>)}</tbody>
      </table>
    </div>
  )
}

const MARKS = /(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\([^)\s]+\)|<https?:\/\/[^>\s]+>)/

function inline(text: string): ReactNode {
  return text.split(MARKS).map((part, i) => {
    if (part.startsWith('`') && part.endsWith('`') && part.length > 2) return <code key={i}>{part.slice(1, -1)}</code>
    if (part.startsWith('**') && part.endsWith('**') && part.length > 4) return <strong key={i}>{part.slice(2, -2)}</strong>
    const plain = /^<(https?:\/\/[^>\s]+)>$/.exec(part)?.[1]
    if (plain) return <a key={i} href={plain} target="_blank" rel="noreferrer noopener">{plain.replace(/^https?:\/\//, '')}</a>
    const link = /^\[([^\]]+)\]\(([^)\s]+)\)$/.exec(part)
    if (link) {
      const [, words, to] = link
      return /^https?:\/\//.test(to ?? '') ? <a key={i} href={to} target="_blank" rel="noreferrer noopener">{words}</a> : <Fragment key={i}>{words}</Fragment>
    }
    return <Fragment key={i}>{part}</Fragment>
  })
}
