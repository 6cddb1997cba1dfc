/** Words of the interface. Each feature brings its own, Chinese first; English has the same keys or does not compile. */
import i18next from 'i18next'
import { initReactI18next, useTranslation } from 'react-i18next'
import { hold, type Words } from '@/api/client'
import { resources } from './resources'

export type Language = 'zh' | 'en'
const KEPT = 'shuniu.language'

function preferred(): Language {
  const kept = localStorage.getItem(KEPT)
  if (kept === 'zh' || kept === 'en') return kept
  return navigator.languages.some((one) => one.toLowerCase().startsWith('zh')) || !navigator.language.startsWith('en') ? 'zh' : 'en'
}

export function speak(language: Language): void {
  localStorage.setItem(KEPT, language)
  tell(language)
  void i18next.changeLanguage(language)
}

function tell(language: Language): void {
  hold({ language })
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en'
}

export function start(): void {
  const language = preferred()
  tell(language)
  void i18next.use(initReactI18next).init({
    lng: language,
    fallbackLng: 'zh',
    defaultNS: 'common',
    resources,
    interpolation: { escapeValue: false }, // React escapes
    returnNull: false,
  })
}

export function useLanguage(): Language {
  return useTranslation().i18n.language === 'en' ? 'en' : 'zh'
}

/** Words that came from the server or a declaration, in the language of the page. */
export function useSay(): (words: Words | null | undefined) => string {
  const language = useLanguage()
  return (words) => (words ? (language === 'zh' ? words.zh || words.en : words.en || words.zh) ?? '' : '')
}
