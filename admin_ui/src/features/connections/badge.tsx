/** The sign of a system: the first letters of its name on the colour of its kind. No vendor's logo is used. */
const HUES: Record<string, number> = { marketplace: 18, mall: 42, erp: 205, wms: 150, crm: 265, messaging: 172, oa: 228, generic: 0 }

export function Badge({ name, category, size = 42 }: { name: string; category: string; size?: number }) {
  const hue = HUES[category] ?? 0
  const text = /[\u4e00-\u9fff]/.test(name) ? name.replace(/[^\u4e00-\u9fff]/g, '').slice(0, 2) : name.replace(/[^A-Za-z0-9]/g, '').slice(0, 2)
  const colour = category === 'generic' ? 'hsl(165 8% 36%)' : `hsl(${hue} 55% 30%)`
  return <span className="badge" aria-hidden="true" style={{ background: colour, width: size, height: size, fontSize: size * 0.36 }}>{text}</span>
}
