/** Signing in. */
import { LockOutlined, UserOutlined } from '@ant-design/icons'
import { Alert, Button, Form, Input, Segmented } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api, ask, type Schemas } from '@/api/client'
import { speak, useLanguage, type Language } from '@/i18n'
import { Mark } from '@/kit/logo'
import { useProblemWords } from '@/kit/query'
import { useSession } from './session'

/** Why somebody came back from another sign-in page without a session, as the server put it into the address. */
const REASONS = ['stale', 'nothing', 'code', 'away', 'broken', 'stranger', 'role', 'disabled', 'taken', 'gone', 'failed'] as const
type Reason = (typeof REASONS)[number]

function turnedAway(): Reason | null {
  const told = new URLSearchParams(location.search).get('sign_in')
  return told === null ? null : (REASONS.find((one) => one === told) ?? 'failed')
}

/** The page to go on to: the address without what we just read from it. */
function wanted(): string {
  const rest = new URLSearchParams(location.search)
  rest.delete('sign_in')
  return location.pathname + (rest.size > 0 ? `?${rest.toString()}` : '')
}

export function Login() {
  const { t } = useTranslation('login')
  const { t: common } = useTranslation()
  const { signIn, problem } = useSession()
  const language = useLanguage()
  const tell = useProblemWords()
  const [error, setError] = useState<unknown>(problem)
  const [busy, setBusy] = useState(false)
  const [refused, setRefused] = useState(turnedAway)
  const [ways, setWays] = useState<Schemas['Way'][]>([])

  useEffect(() => {
    if (refused) history.replaceState(history.state, '', wanted()) // told once: a reload or a later sign-in starts clean
  }, [refused])

  useEffect(() => {
    // Without the list the form still works; the buttons are then missing.
    ask(api.GET('/api/v1/sessions/ways')).then((found) => setWays(found.items.filter((way) => way.start)), () => undefined)
  }, [])

  async function submit(given: { name: string; password: string }): Promise<void> {
    setBusy(true)
    setError(null)
    setRefused(null)
    try {
      await signIn(given.name.trim(), given.password)
    } catch (failed) {
      setError(failed)
      setBusy(false)
    }
  }

  return (
    <div className="login">
      <section className="login-art" aria-hidden="true"><Constellation /><div className="login-words"><h2>{t('promise')}</h2><p>{t('promiseMore')}</p></div></section>
      <main className="login-side">
        <div className="login-language">
          <Segmented<Language> size="small" value={language} onChange={speak} options={[{ value: 'zh', label: '中文' }, { value: 'en', label: 'English' }]} aria-label={common('language')} />
        </div>
        <div className="login-card">
          <Mark size={52} />
          <h1>{t('title')}</h1>
          <p className="dim">{common('tagline')}</p>
          {refused && <Alert type="warning" showIcon title={t(`refused.${refused}`)} />}
          {Boolean(error) && <Alert type="error" showIcon title={tell(error)} />}
          <Form layout="vertical" onFinish={(given: { name: string; password: string }) => void submit(given)} requiredMark={false} size="large">
            <Form.Item name="name" label={t('name')} rules={[{ required: true, message: t('nameNeeded') }]}>
              <Input prefix={<UserOutlined />} autoComplete="username" autoFocus autoCapitalize="off" />
            </Form.Item>
            <Form.Item name="password" label={t('password')} rules={[{ required: true, message: t('passwordNeeded') }]}>
              <Input.Password prefix={<LockOutlined />} autoComplete="current-password" />
            </Form.Item>
            <Button type="primary" htmlType="submit" block loading={busy}>{t('submit')}</Button>
          </Form>
          {ways.length > 0 && (
            <div className="login-ways">
              {ways.map((way) => <Button key={way.start} block size="large" href={`${way.start}?page=${encodeURIComponent(wanted())}`}>{way.label[language]}</Button>)}
            </div>
          )}
          <details className="login-help"><summary>{t('first')}</summary><p>{t('firstHow')}</p><code>./shuniu user add admin --role owner</code></details>
        </div>
      </main>
    </div>
  )
}

function Constellation() {
  const spots = [[70, 90], [310, 60], [355, 250], [230, 380], [60, 330], [190, 40]] as const
  return (
    <svg viewBox="0 0 420 440" className="constellation">
      {spots.map(([x, y], i) => <path key={i} d={`M${x} ${y} Q 210 220 ${spots[(i + 2) % spots.length]?.[0]} ${spots[(i + 2) % spots.length]?.[1]}`} style={{ animationDelay: `${-i * 1.7}s` }} />)}
      {spots.map(([x, y], i) => <line key={i} x1={x} y1={y} x2={210} y2={220} />)}
      {spots.map(([x, y], i) => <circle key={i} cx={x} cy={y} r={15 + (i % 3) * 4} />)}
      <circle cx={210} cy={220} r={44} className="core" />
    </svg>
  )
}
