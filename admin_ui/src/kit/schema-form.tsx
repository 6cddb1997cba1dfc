/** A form drawn from a connector's declaration. The server's word counts: its faults are put to their fields. */
import { Button, Form, Input, InputNumber, Select, Switch, type FormInstance } from 'antd'
import { useTranslation } from 'react-i18next'
import { useSay } from '@/i18n'
import { applies, refers, type FormField, type Values } from '@/lib/form-values'

interface Props {
  form: FormInstance<Values>
  fields: FormField[]
  /** Names of secrets that are stored already. */
  stored: string[]
  /** Of those, where they are kept when they live elsewhere. */
  references?: Record<string, string>
  cleared: ReadonlySet<string>
  clear: (keys: ReadonlySet<string>) => void
  /** Fields that are filled in another way later, and need not be typed. */
  later?: string[]
  disabled?: boolean
  focused?: (field: FormField) => void
}

export function SchemaFields(props: Props) {
  const values = Form.useWatch([], props.form) as Values | undefined
  const shown = props.fields.filter((one) => applies(one, values ?? {}, props.fields))
  return <>{shown.map((field) => <Field key={field.key} field={field} {...props} />)}</>
}

function Field({ field, stored, references, cleared, clear, disabled, focused, later }: Props & { field: FormField }) {
  const { t } = useTranslation()
  const say = useSay()
  const kept = field.secret && stored.includes(field.key)
  const gone = cleared.has(field.key)
  const rules = []
  const needed = field.required && !later?.includes(field.key)
  if (needed && !kept) rules.push({ required: true, message: `${say(field.label)}：${t('required')}` })
  if (field.pattern) {
    const fits = new RegExp(field.pattern, 'u')
    const message = say(field.help) || field.pattern
    if (field.secret) rules.push({ validator: (_: unknown, value?: string) => (!value || refers(value) || fits.test(value) ? Promise.resolve() : Promise.reject(new Error(message))) })
    else rules.push({ pattern: fits, message })
  }
  const help = say(field.help)
  return (
    <Form.Item
      name={field.key}
      label={<span>{say(field.label)} <code className="dim">{field.key}</code></span>}
      rules={rules}
      required={needed}
      extra={help && <span className="field-help">{help}</span>}
      valuePropName={field.type === 'boolean' ? 'checked' : 'value'}
      validateTrigger="onBlur"
    >
      {field.secret ? (
        <Secret id={field.key} kept={kept} reference={references?.[field.key]} gone={gone} disabled={disabled} optional={!field.required} onFocus={() => focused?.(field)}
          toggle={() => {
            const next = new Set(cleared)
            if (!next.delete(field.key)) next.add(field.key)
            clear(next)
          }} />
      ) : (
        input(field, say, disabled, () => focused?.(field))
      )}
    </Form.Item>
  )
}

function input(field: FormField, say: ReturnType<typeof useSay>, disabled: boolean | undefined, onFocus: () => void) {
  const given = { disabled, onFocus }
  switch (field.type) {
    case 'boolean':
      return <Switch disabled={disabled} />
    case 'integer':
      return <InputNumber {...given} precision={0} style={{ width: '100%' }} />
    case 'number':
      return <InputNumber {...given} stringMode={false} style={{ width: '100%' }} />
    case 'choice':
      return <Select {...given} options={(field.choices ?? []).map((one) => ({ value: one.value, label: say(one.label) }))} allowClear={!field.required} />
    case 'text':
      return <Input.TextArea {...given} rows={2} />
    case 'json':
      return <Input.TextArea {...given} className="mono" rows={3} spellCheck={false} />
    default:
      return <Input {...given} inputMode={field.type === 'url' ? 'url' : undefined} autoComplete="off" spellCheck={false} />
  }
}

/** A secret is write-only: what is stored is never shown, only that it is there. */
function Secret(props: {
  id: string; value?: string; onChange?: (value: string) => void; kept: boolean; reference?: string; gone: boolean; optional: boolean; disabled?: boolean; toggle: () => void; onFocus: () => void
}) {
  const { t } = useTranslation()
  const kept = props.reference ? t('secretElsewhere', { place: props.reference }) : `•••••• ${t('secretKept')}`
  return (
    <>
    <div className="row">
      <Input.Password
        id={props.id}
        className="grow"
        value={props.value}
        onChange={(event) => props.onChange?.(event.target.value)}
        onFocus={props.onFocus}
        disabled={props.disabled || props.gone}
        placeholder={props.gone ? t('secretWillClear') : props.kept ? kept : t('secretEmpty')}
        autoComplete="new-password"
      />
      {props.kept && props.optional && <Button onClick={props.toggle} disabled={props.disabled}>{props.gone ? t('undo') : t('secretClear')}</Button>}
    </div>
    {refers(props.value) && <small className="dim" role="status">{t('secretRefers')}</small>}
    </>
  )
}
