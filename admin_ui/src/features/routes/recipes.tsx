/** Recipes: pick one, confirm which systems, enable. */
import { CheckCircleFilled } from '@ant-design/icons'
import { Button, Modal, Select } from 'antd'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useNavigate } from 'react-router'
import { api, ask } from '@/api/client'
import { useConnections, useConnectorsOf, useMappings, useRoutes, useTemplates, type RouteDetail } from '@/data/catalogue'
import { useSay } from '@/i18n'
import { Entity } from '@/kit/bits'
import { Loaded, Page, Trouble } from '@/kit/page'
import { useChange } from '@/kit/query'
import { choices, RECIPES, type Choice, type Recipe } from './recipe-list'
import { suggestedKey, toRoute, toValues } from './route-values'

export default function Recipes() {
  const { t } = useTranslation('routes')
  const connections = useConnections()
  const connectors = useConnectorsOf((connections.data ?? []).map((one) => one.connector))
  const routes = useRoutes()
  const mappings = useMappings()
  const [chosen, setChosen] = useState<{ recipe: Recipe; choice: Choice } | null>(null)
  return (
    <Page title={t('recipes')} lead={t('recipesLead')} back={<Link className="back" to="/routes">‹ {t('back')}</Link>}>
      <Loaded query={connections}>
        {(found) => (
          <ul className="cards cards-wide">
            {RECIPES.map((recipe) => {
              const choice = choices(recipe, found, connectors, mappings.data ?? [])
              return <Card key={recipe.id} recipe={recipe} choice={choice} routes={routes.data ?? []} use={() => setChosen({ recipe, choice })} />
            })}
          </ul>
        )}
      </Loaded>
      {chosen && <Confirm {...chosen} taken={(routes.data ?? []).map((one) => one.key)} close={() => setChosen(null)} />}
    </Page>
  )
}

function Card({ recipe, choice, routes, use }: { recipe: Recipe; choice: Choice; routes: RouteDetail[]; use: () => void }) {
  const { t } = useTranslation('routes')
  const { t: common } = useTranslation()
  const kinds = (names: string[]): string => names.map((one) => common(`category.${one as 'erp'}`)).join(' / ')
  const missing = [choice.sources.length === 0 && kinds(recipe.from.categories), choice.targets.length === 0 && kinds(recipe.to.categories)].filter(Boolean).join('、')
  const there = routes.some((one) => one.from.entity === recipe.from.entity && choice.sources.some((source) => source.key === one.from.connection) && one.to.some((target) => choice.targets.some(({ connection, operation }) => connection.key === target.connection && operation.name === target.operation)))
  return (
    <li className={missing ? 'card still faded' : 'card still'}>
      <div className="recipe-path"><span className="tag">{kinds(recipe.from.categories)}</span><Entity of={recipe.from.entity} />→<span className="tag">{kinds(recipe.to.categories)}</span></div>
      <div><strong className="recipe-title">{t(`recipe.${recipe.id}.title`)}</strong><p className="dim">{t(`recipe.${recipe.id}.text`)}</p></div>
      <div className="row apart recipe-foot">
        {missing ? <><span className="dim">{t('recipeMissing', { what: missing })}</span><Link to="/connections/new">{t('connectFirst')}</Link></> : (
          <><span className="tone-good">{there && <><CheckCircleFilled /> {t('recipeThere')}</>}</span><Button type={there ? 'default' : 'primary'} onClick={use}>{t('recipeUse')}</Button></>
        )}
      </div>
    </li>
  )
}

function Confirm({ recipe, choice, taken, close }: { recipe: Recipe; choice: Choice; taken: string[]; close: () => void }) {
  const { t } = useTranslation('routes')
  const { t: common } = useTranslation()
  const say = useSay()
  const navigate = useNavigate()
  const templates = useTemplates()
  const [source, setSource] = useState(choice.sources[0]?.key)
  const [target, setTarget] = useState(choice.targets[0]?.connection.key)
  const [picked, setPicked] = useState<string>()
  const template = picked ?? templates.data?.[0]?.key
  const operation = choice.targets.find((one) => one.connection.key === target)?.operation
  const install = useChange(() => {
    const values = { from: { connection: source, entity: recipe.from.entity }, to: [{ connection: target, operation: operation?.name, template: recipe.to.template ? template : null }] }
    const key = suggestedKey(values, taken)
    return ask(api.POST('/api/v1/routes', { body: toRoute({ ...toValues(undefined), ...values, key, label: t(`recipe.${recipe.id}.title`), when: recipe.when ?? null, after: { n: 0, unit: 's' }, order: 'hold' }, true) }))
  }, { stale: ['routes', 'overview'], quiet: true, done: common('saved'), then: (made) => void navigate(`/routes/${made.key}`) })
  return (
    <Modal open title={t(`recipe.${recipe.id}.title`)} onCancel={close} okText={t('recipeGo')} cancelText={common('cancel')} onOk={() => install.mutate(undefined)} confirmLoading={install.isPending} okButtonProps={{ disabled: Boolean(recipe.to.template && !template) }}>
      <div className="stack">
        <label className="pick"><span>{t('source')}</span><Select value={source} onChange={setSource} aria-label={t('source')} options={choice.sources.map((one) => ({ value: one.key, label: one.key }))} /></label>
        <label className="pick"><span>{t('target')}</span><Select value={target} onChange={setTarget} aria-label={t('target')} options={choice.targets.map((one) => ({ value: one.connection.key, label: `${one.connection.key} · ${say(one.operation.label)}` }))} /></label>
        {recipe.to.template && <label className="pick"><span>{t('template')}</span><Select value={template} onChange={setPicked} aria-label={t('template')} options={(templates.data ?? []).map((one) => ({ value: one.key, label: one.title || one.key }))} notFoundContent={<Link to="/templates">{common('create')}</Link>} /></label>}
        {recipe.when && <p className="dim">{t('when')} <code>{recipe.when}</code></p>}
        {install.error && <Trouble error={install.error} />}
      </div>
    </Modal>
  )
}
