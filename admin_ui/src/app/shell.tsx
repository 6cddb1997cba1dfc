/** The frame around every page: menu, who is signed in, language and appearance, whether live updates come. */
import { BulbOutlined, GlobalOutlined, LogoutOutlined, MenuOutlined, MoonOutlined, SunOutlined, UserOutlined } from '@ant-design/icons'
import { Button, Drawer, Dropdown, Grid, Menu, Spin, Tooltip, type MenuProps } from 'antd'
import { Suspense, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, Outlet, useLocation, useNavigate } from 'react-router'
import type { zh as pageNames } from '@/i18n/pages'
import { speak, useLanguage } from '@/i18n'
import { Logo } from '@/kit/logo'
import { Boundary } from './boundary'
import { useLive } from './live'
import { PAGES, type Group } from './pages'
import { useSession, type Role } from './session'
import { useAppearance, wear, type Appearance } from './theme'

const GROUPS: Group[] = ['watch', 'data', 'build', 'admin']

export function Shell() {
  const { t } = useTranslation()
  const screens = Grid.useBreakpoint()
  const [open, setOpen] = useState(false)
  const { pathname } = useLocation()
  useEffect(() => {
    setOpen(false)
    document.querySelector('main')?.scrollTo(0, 0)
    globalThis.scrollTo(0, 0)
  }, [pathname])
  const narrow = screens.lg === false
  return (
    <div className="shell">
      <a className="skip" href="#content">{t('skip')}</a>
      {narrow ? (
        <>
          <header className="topbar">
            <Button type="text" icon={<MenuOutlined />} aria-label={t('menu')} onClick={() => setOpen(true)} />
            <Logo />
          </header>
          <Drawer open={open} onClose={() => setOpen(false)} placement="left" size={264} title={<Logo />} styles={{ body: { padding: 12 } }}><Side /></Drawer>
        </>
      ) : (
        <aside className="side">
          <Link to="/" className="brand"><Logo /></Link>
          <Side />
        </aside>
      )}
      <main id="content" tabIndex={-1}>
        <Boundary key={pathname}>
          <Suspense fallback={<Waiting />}><Outlet /></Suspense>
        </Boundary>
      </main>
    </div>
  )
}

export function Waiting() {
  const { t } = useTranslation()
  return <div className="waiting" role="status" aria-label={t('loading')}><Spin size="large" /></div>
}

function Side() {
  const { t } = useTranslation()
  const { t: name } = useTranslation('pages')
  const { may } = useSession()
  const { pathname } = useLocation()
  const navigate = useNavigate()
  const shown = PAGES.filter((one) => one.nav && (!one.role || may(one.role)))
  const current = [...shown].sort((a, b) => b.path.length - a.path.length).find((one) => (one.path === '/' ? pathname === '/' : `${pathname}/`.startsWith(`${one.path}/`)))
  const items: MenuProps['items'] = GROUPS.map((group) => ({
    type: 'group' as const,
    key: group,
    label: t(`nav.${group}`),
    children: shown
      .filter((one) => one.nav?.group === group)
      .map((one) => ({ key: one.path, icon: one.nav?.icon, label: <Link to={one.path}>{name(one.name as keyof typeof pageNames)}</Link> })),
  }))
  return (
    <div className="side-inner">
      <nav aria-label={t('menu')}>
        <Menu items={items} selectedKeys={current ? [current.path] : []} onSelect={({ key }) => void navigate(key)} mode="inline" />
      </nav>
      <Person />
    </div>
  )
}

function Person() {
  const { t } = useTranslation()
  const { me, signOut } = useSession()
  const live = useLive()
  const language = useLanguage()
  const appearance = useAppearance()
  const navigate = useNavigate()
  const items: MenuProps['items'] = [
    { key: 'account', icon: <UserOutlined />, label: t('account'), onClick: () => void navigate('/settings') },
    {
      key: 'language', icon: <GlobalOutlined />, label: t('language'),
      children: [
        { key: 'zh', label: <span lang="zh-CN">中文</span>, onClick: () => speak('zh') },
        { key: 'en', label: <span lang="en">English</span>, onClick: () => speak('en') },
      ],
    },
    {
      key: 'appearance', icon: <BulbOutlined />, label: t('appearance'),
      children: (['light', 'dark', 'auto'] as Appearance[]).map((one) => ({
        key: one, label: t(`theme.${one}`), icon: one === 'light' ? <SunOutlined /> : one === 'dark' ? <MoonOutlined /> : <BulbOutlined />, onClick: () => wear(one),
      })),
    },
    { type: 'divider' },
    { key: 'out', icon: <LogoutOutlined />, label: t('signOut'), onClick: () => void signOut() },
  ]
  return (
    <div className="person">
      <Dropdown menu={{ items, selectedKeys: [language, appearance], selectable: true }} trigger={['click']} placement="topLeft">
        <button type="button" className="person-button">
          <span className="avatar" aria-hidden="true">{(me?.name ?? '?').slice(0, 1).toUpperCase()}</span>
          <span className="person-name"><strong>{me?.name}</strong><small>{me && t(`role.${me.role as Role}`)}</small></span>
        </button>
      </Dropdown>
      <Tooltip title={live.connected ? t('live') : t('liveOff')}>
        <span className={live.connected ? 'pulse on' : 'pulse'} role="status" aria-label={live.connected ? t('live') : t('liveOff')} />
      </Tooltip>
    </div>
  )
}
