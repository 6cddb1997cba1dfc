/** Finding by what people type: parts of names in any language, pinyin with or without spaces and tones. */
export function fold(text: string): string {
  return text.normalize('NFD').replace(/[\u0300-\u036f]/g, '').toLowerCase().replace(/[\s\-_.·/]+/g, '')
}

/** How well `q` fits: 0 not at all; higher is better (whole name, beginning, somewhere). */
export function score(q: string, names: readonly string[]): number {
  const wanted = fold(q)
  if (!wanted) return 1
  let best = 0
  for (const name of names) {
    const folded = fold(name)
    if (folded === wanted) best = Math.max(best, 3)
    else if (folded.startsWith(wanted)) best = Math.max(best, 2)
    else if (folded.includes(wanted)) best = Math.max(best, 1)
  }
  return best
}
