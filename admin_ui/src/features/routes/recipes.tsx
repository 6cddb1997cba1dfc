/** Recipes: pick one, confirm which systems, enable. What there is and who fits is the server's word. */
import { CheckCircleFilled } from '@ant-design/icons'
import { useQuery } from '@tanstack/react-query'
import { Button, Checkbox, Input, InputNumber, Modal, Select } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useNavigate } from 'react-router'
import { api, ask, type Schemas } from '@/api/client'
import { useRecipes } from '@/data/catalogue'
import { useSay } from '@/i18n'
import { Loaded, Page, Trouble } from '@/kit/page'
import { useChange } from '@/kit/query'
import { suggested, toCasting, unplayed, type Chosen, type Recipe } from './casting'

export default function Recipes() {
  const { t } = useTranslation('routes')
  const recipes = useRecipes()
  const [chosen, setChosen] = useState<Recipe | null>(null)
  return (
    <Page title={t('recipes')} lead={t('recipesLead')} back={<Link className="back" to="/routes">‹ {t('back')}</Link>}>
      <Loaded query={recipes}>
        {(found) => <ul className="cards cards-wide">{found.map((recipe) => <Card key={recipe.id} recipe={recipe} use={() => setChosen(recipe)} />)}</ul>}
      </Loaded>
      {chosen && <Confirm recipe={chosen} close={() => setChosen(null)} />}
    </Page>
  )
}

function Card({ recipe, use }: { recipe: Recipe; use: () => void }) {
  const { t } = useTranslation('routes')
  const say = useSay()
  const missing = unplayed(recipe).map((part) => say(part.label)).join('、')
  const there = recipe.installed.length > 0
  return (
    <li className={missing ? 'card still faded' : 'card still'}>
      <div className="recipe-path">{recipe.parts.filter((part) => !part.optional).map((part, n) => <span key={part.key}>{n > 0 && '→ '}<span className="tag">{say(part.label)}</span></span>)}</div>
      <div><strong className="recipe-title">{say(recipe.title)}</strong><p className="dim">{say(recipe.text)}</p></div>
      <div className="row apart recipe-foot">
        {missing ? <><span className="dim">{t('recipeMissing', { what: missing })}</span><Link to="/connections/new">{t('connectFirst')}</Link></> : (
          <><span className="tone-good">{there && <><CheckCircleFilled /> {t('recipeThere')}</>}</span><Button type={there ? 'default' : 'primary'} onClick={use}>{t('recipeUse')}</Button></>
        )}
      </div>
    </li>
  )
}

function Confirm({ recipe, close }: { recipe: Recipe; close: () => void }) {
  const { t } = useTranslation('routes')
  const { t: common } = useTranslation()
  const say = useSay()
  const navigate = useNavigate()
  const [chosen, setChosen] = useState<Chosen>(() => suggested(recipe))
  const body = toCasting(recipe, chosen)
  const path = { params: { path: { id: recipe.id } }, body }
  const preview = useQuery({ queryKey: ['recipe-preview', recipe.id, body], queryFn: () => ask(api.POST('/api/v1/recipes/{id}/preview', path)) })
  const install = useChange(() => ask(api.POST('/api/v1/recipes/{id}/install', path)), {
    stale: ['routes', 'overview', 'recipes', 'templates'], quiet: true, done: common('saved'),
    then: (made) => void navigate(made.routes.length === 1 ? `/routes/${made.routes[0]}` : '/routes'),
  })
  const set = (change: Partial<Chosen>): void => setChosen({ ...chosen, ...change })
  return (
    <Modal open width={640} title={say(recipe.title)} onCancel={close} okText={t('recipeGo')} cancelText={common('cancel')} onOk={() => install.mutate(undefined)} confirmLoading={install.isPending} okButtonProps={{ disabled: !preview.data?.ok }}>
      <div className="stack">
        <p className="dim">{say(recipe.text)}</p>
        {recipe.parts.map((part) => <PartChoice key={part.key} part={part} value={chosen.parts[part.key] ?? []} change={(those) => set({ parts: { ...chosen.parts, [part.key]: those } })} />)}
        {recipe.parameters.map((one) => <label className="pick" key={one.key}><span>{say(one.label)}</span><Value of={one} value={chosen.values[one.key]} change={(value) => set({ values: { ...chosen.values, [one.key]: value } })} />{one.help && <small className="dim">{say(one.help)}</small>}</label>)}
        <Own recipe={recipe} chosen={chosen} change={(own) => set({ own })} />
        {recipe.notes.map((note, n) => <p className="dim" key={n}>{say(note)}</p>)}
        {preview.data && <Outlook seen={preview.data} />}
        {install.error && <Trouble error={install.error} />}
      </div>
    </Modal>
  )
}

function PartChoice({ part, value, change }: { part: Recipe['parts'][number]; value: string[]; change: (those: string[]) => void }) {
  const say = useSay()
  const options = part.fits.map((one) => ({ value: one.connection, label: one.connection }))
  const label = say(part.label)
  return (
    <label className="pick">
      <span>{label}</span>
      {part.many
        ? <Select mode="multiple" showSearch={{ optionFilterProp: 'label' }} value={value} onChange={change} options={options} aria-label={label} />
        : <Select showSearch={{ optionFilterProp: 'label' }} allowClear={part.optional} value={value[0]} onChange={(one?: string) => change(one ? [one] : [])} options={options} aria-label={label} />}
      {part.help && <small className="dim">{say(part.help)}</small>}
    </label>
  )
}

function Value({ of, value, change }: { of: Schemas['RecipeParameter']; value: unknown; change: (value: unknown) => void }) {
  const say = useSay()
  const label = say(of.label)
  if (of.type === 'boolean') return <Checkbox checked={value === true} onChange={(event) => change(event.target.checked)} aria-label={label} />
  if (of.type === 'integer' || of.type === 'number') return <InputNumber value={value as number | undefined} min={of.min ?? undefined} max={of.max ?? undefined} precision={of.type === 'integer' ? 0 : undefined} onChange={(one) => change(one ?? undefined)} aria-label={label} />
  if (of.type === 'choice') return <Select value={value as string} onChange={change} options={(of.choices ?? []).map((one) => ({ value: one.value, label: say(one.label) }))} aria-label={label} />
  const text = typeof value === 'string' ? value : ''
  if (of.type === 'text' || of.type === 'lines') return <Input.TextArea rows={2} value={text} onChange={(event) => change(event.target.value)} aria-label={label} />
  return <Input value={text} onChange={(event) => change(event.target.value)} aria-label={label} />
}

/** Values that a single connection has for itself; empty means as above. */
function Own({ recipe, chosen, change }: { recipe: Recipe; chosen: Chosen; change: (own: Chosen['own']) => void }) {
  const { t } = useTranslation('routes')
  const say = useSay()
  const mine = recipe.parameters.filter((one) => one.per && (chosen.parts[one.per] ?? []).length > 1)
  if (mine.length === 0) return null
  const connections = [...new Set(mine.flatMap((one) => chosen.parts[one.per ?? ''] ?? []))]
  return (
    <details>
      <summary>{t('recipeOwn')}</summary>
      {connections.map((key) => (
        <div className="row" key={key}>
          <strong>{key}</strong>
          {mine.filter((one) => (chosen.parts[one.per ?? ''] ?? []).includes(key)).map((one) => (
            <label className="pick" key={one.key}><span>{say(one.label)}</span><Value of={one} value={chosen.own[key]?.[one.key]} change={(value) => change({ ...chosen.own, [key]: { ...chosen.own[key], [one.key]: value } })} /></label>
          ))}
        </div>
      ))}
    </details>
  )
}

function Outlook({ seen }: { seen: Schemas['RecipePreview'] }) {
  const { t } = useTranslation('routes')
  const say = useSay()
  return (
    <div aria-live="polite">
      {[...seen.faults, ...seen.warnings].map((one, n) => <p className={n < seen.faults.length ? 'tone-bad' : 'tone-warn'} key={`${one.pointer}${one.code}${n}`}>{say(one)}</p>)}
      {seen.ok && <p className="dim">{seen.changes.length === 0 ? t('recipeNothing') : t('recipeMakes', { n: seen.changes.length, what: seen.changes.map((one) => one.key).join('、') })}</p>}
    </div>
  )
}
