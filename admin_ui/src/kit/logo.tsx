import { useTranslation } from 'react-i18next'

export function Mark({ size = 30 }: { size?: number }) {
  return (
    <svg viewBox="0 0 64 64" width={size} height={size} aria-hidden="true">
      <rect width="64" height="64" rx="16" fill="#0b7a75" />
      <g fill="none" stroke="#fff" strokeWidth="4.5" strokeLinecap="round"><path d="M32 32 15 17M32 32l17-15M32 32v19" /></g>
      <circle cx="32" cy="32" r="8.5" fill="#ffd27d" />
      <g fill="#fff"><circle cx="15" cy="17" r="5.5" /><circle cx="49" cy="17" r="5.5" /><circle cx="32" cy="51" r="5.5" /></g>
    </svg>
  )
}

export function Logo() {
  const { t, i18n } = useTranslation()
  return <span className="logo"><Mark /><strong>{t('product')}</strong>{i18n.language === 'zh' && <small lang="en">Shuniu</small>}</span>
}
