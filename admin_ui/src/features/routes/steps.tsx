/** What follows when everything before it has arrived: further steps, each with its own wait and targets. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons'
import { Button, Form } from 'antd'
import { useTranslation } from 'react-i18next'
import type { StepValues } from './route-values'
import { Targets, type Around } from './target'
import { After } from './waiting'

const MOST = 4

export function Steps({ values, ...around }: Around & { values?: StepValues[] }) {
  const { t } = useTranslation('routes')
  return (
    <Form.List name="then">
      {(rows, { add, remove }) => (
        <>
          {rows.map((row, i) => (
            <div key={row.key} className="sentence-part step-part">
              <b className="sentence-word">{t('sentence.next')}</b>
              <div className="grow">
                <div className="row apart step-head">
                  <span className="row"><span className="tag">{t('step', { n: i + 2 })}</span><span className="dim">{t('stepHint')}</span></span>
                  <Button type="text" danger size="small" icon={<DeleteOutlined />} onClick={() => remove(row.name)}>{t('removeStep')}</Button>
                </div>
                <Form.Item label={t('stepAfter')}><After name={[row.name, 'after']} /></Form.Item>
                <Targets name={[row.name, 'to']} values={values?.[row.name]?.to} {...around} />
              </div>
            </div>
          ))}
          {rows.length < MOST && <div className="add-step"><Button type="dashed" icon={<PlusOutlined />} onClick={() => add({ to: [{}], after: { n: 0, unit: 's' } })}>{t('addStep')}</Button><span className="dim">{t('addStepHint')}</span></div>}
        </>
      )}
    </Form.List>
  )
}
