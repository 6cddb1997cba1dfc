import { start } from '@/i18n'

globalThis.matchMedia ??= ((query: string) => ({ matches: false, media: query, addEventListener: () => undefined, removeEventListener: () => undefined, addListener: () => undefined, removeListener: () => undefined })) as unknown as typeof matchMedia
localStorage.setItem('shuniu.language', 'zh')
start()
