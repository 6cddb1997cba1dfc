/** How long what is kept, by class: days, or for ever. What gets shorter is removed for good, so that is asked first. */
import { useQuery } from '@tanstack/react-query'
import { App, Button, InputNumber, Switch } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { api, ask, type Schemas } from '@/api/client'
import { Loaded } from '@/kit/page'
import { useChange } from '@/kit/query'
import { CLASSES, shorter, START, type Class, type Kept } from './keeping'

/** What no number of days means: exchanges go with their attempts then. */
const endless = (name: Class) => (name === 'exchanges' ? 'asAttempts' : 'forEver')

export function Retention() {
  const { t } = useTranslation('settings')
  const found = useQuery({ queryKey: ['retention'], queryFn: () => ask(api.GET('/api/v1/settings/retention')) })
  return (
    <section className="panel" aria-labelledby="retention-title">
      <h2 id="retention-title">{t('retention')}</h2>
      <p className="dim">{t('retentionHint')}</p>
      <Loaded query={found}>{(kept) => <Days key={JSON.stringify(kept)} kept={kept} />}</Loaded>
    </section>
  )
}

function Days({ kept }: { kept: Schemas['Retention'] }) {
  const { t } = useTranslation('settings')
  const { t: common } = useTranslation()
  const { modal } = App.useApp()
  const [days, setDays] = useState<Kept>(kept)
  const save = useChange((body: Kept) => ask(api.PUT('/api/v1/settings/retention', { body })), { stale: ['retention', 'audit'], done: common('saved') })
  const changed = CLASSES.some((name) => days[name] !== kept[name])
  const put = (): void => {
    const less = shorter(kept, days)
    if (less.length === 0) return save.mutate(days)
    void modal.confirm({
      title: t('retentionSure'),
      content: t('retentionSureHint', { names: less.map((name) => t(`keep.${name}.name`)).join(t('comma')) }),
      okText: common('save'), okButtonProps: { danger: true }, onOk: () => save.mutateAsync(days).catch(() => undefined),
    })
  }
  return (
    <>
      <ul className="keeps">
        {CLASSES.map((name) => (
          <li key={name}>
            <div className="grow"><strong id={`keep-${name}`}>{t(`keep.${name}.name`)}</strong><small className="dim">{t(`keep.${name}.what`)}</small></div>
            <span className="row">
              {days[name] !== null && <InputNumber min={1} max={36500} precision={0} value={days[name]} suffix={t('days')} aria-labelledby={`keep-${name}`} onChange={(n) => setDays({ ...days, [name]: n ?? kept[name] ?? START })} />}
              <label className="row keep-ever"><Switch size="small" checked={days[name] === null} onChange={(on) => setDays({ ...days, [name]: on ? null : (kept[name] ?? START) })} aria-label={`${t(`keep.${name}.name`)}：${t(endless(name))}`} />{t(endless(name))}</label>
            </span>
          </li>
        ))}
      </ul>
      <p className="row apart keep-foot"><span className="dim">{t('retentionStays')}</span><Button type="primary" disabled={!changed} loading={save.isPending} onClick={put}>{common('save')}</Button></p>
    </>
  )
}
