/** Times and durations for people. */
export type Unit = 's' | 'm' | 'h' | 'd'

const UNITS: [Unit, number][] = [['d', 86400], ['h', 3600], ['m', 60], ['s', 1]]

/** A number of seconds in its largest fitting unit. */
export function span(seconds: number): { n: number; unit: Unit } {
  const size = Math.max(0, seconds)
  for (const [unit, length] of UNITS) if (size >= length) return { n: Math.floor(size / length), unit }
  return { n: 0, unit: 's' }
}

/** A duration exactly, as a form shows it: 90 s stay 90 s, 120 s are 2 m. */
export function exact(seconds: number): { n: number; unit: Unit } {
  for (const [unit, length] of UNITS) if (seconds > 0 && seconds % length === 0) return { n: seconds / length, unit }
  return { n: seconds, unit: 's' }
}

export function inSeconds(n: number, unit: Unit): number {
  return n * (UNITS.find(([name]) => name === unit)?.[1] ?? 1)
}

const two = (n: number): string => String(n).padStart(2, '0')

/** Local time, to the second; the date only when it is another day. */
export function clock(iso: string, now: Date = new Date()): string {
  const at = new Date(iso)
  if (Number.isNaN(at.getTime())) return iso
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
  if (at.toDateString() === now.toDateString()) return time
  const day = `${two(at.getMonth() + 1)}-${two(at.getDate())}`
  return at.getFullYear() === now.getFullYear() ? `${day} ${time}` : `${at.getFullYear()}-${day} ${time}`
}

export function full(iso: string): string {
  const at = new Date(iso)
  if (Number.isNaN(at.getTime())) return iso
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, '0')}`
}

/** Day and time to the minute, the year only when it is another one: for windows, where both ends need their day. */
export function day(iso: string, now: Date = new Date()): string {
  const at = new Date(iso)
  if (Number.isNaN(at.getTime())) return iso
  const text = `${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`
  return at.getFullYear() === now.getFullYear() ? text : `${at.getFullYear()}-${text}`
}

/** A wait in its two largest units: 2 d 23 h; nothing smaller than a minute beside an hour. */
export function wait(seconds: number): { n: number; unit: Unit }[] {
  const first = span(seconds)
  const at = UNITS.findIndex(([unit]) => unit === first.unit)
  const next = UNITS[at + 1]
  const rest = next ? Math.floor((seconds - inSeconds(first.n, first.unit)) / next[1]) : 0
  return next && rest > 0 && first.unit !== 'm' ? [first, { n: rest, unit: next[0] }] : [first]
}
