/** Neither side is right: another value, typed in the shape the field has. */
import { Button, Input } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { typed, type Conflict } from './choosing'

export function Other({ conflict, busy, use }: { conflict: Conflict; busy: boolean; use: (value: unknown) => void }) {
  const { t } = useTranslation('conflicts')
  const [text, setText] = useState('')
  return (
    <form className="conflict-other" onSubmit={(event) => { event.preventDefault(); if (text.trim()) use(typed(text, conflict.sides)) }}>
      <label className="dim" htmlFor={`other-${conflict.id}`}>{t('otherHint')}</label>
      <span className="row"><Input id={`other-${conflict.id}`} className="grow" value={text} onChange={(event) => setText(event.target.value)} autoFocus maxLength={500} /><Button type="primary" htmlType="submit" disabled={!text.trim()} loading={busy}>{t('use')}</Button></span>
    </form>
  )
}
