/**
 * Style elements that our own scripts make carry the page's nonce. Component libraries measure scroll bars and the like
 * with style elements of their own and do not all know of nonces; what slips in as text never passes through here.
 */
export function stylesWithNonce(): void {
  const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content
  if (!nonce) return
  const make = document.createElement.bind(document) as (name: string, options?: ElementCreationOptions) => HTMLElement
  document.createElement = ((name: string, options?: ElementCreationOptions) => {
    const made = make(name, options)
    if (name.toLowerCase() === 'style') made.nonce = nonce
    return made
  }) as typeof document.createElement
}
