/** The whole application: providers, sign-in, and the pages. */
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { App as AntApp, Button, ConfigProvider, Result } from 'antd'
import enUS from 'antd/locale/en_US'
import zhCN from 'antd/locale/zh_CN'
import { useTranslation } from 'react-i18next'
import { BrowserRouter, Link, Route, Routes } from 'react-router'
import { Problem } from '@/api/client'
import { useLanguage } from '@/i18n'
import { LiveProvider } from './live'
import { Login } from './login'
import { PAGES, type PageEntry } from './pages'
import { SessionProvider, useSession } from './session'
import { Shell, Waiting } from './shell'
import { themeOf, useDark } from './theme'

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchOnWindowFocus: false,
      retry: (times, error) => times < 2 && !(error instanceof Problem && error.body.status >= 400 && error.body.status < 500),
    },
  },
})

export function App() {
  const dark = useDark()
  const language = useLanguage()
  const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content
  return (
    <ConfigProvider theme={themeOf(dark)} locale={language === 'zh' ? zhCN : enUS} csp={nonce ? { nonce } : undefined} button={{ autoInsertSpace: false }}>
      <AntApp message={{ maxCount: 3 }} className="app">
        <QueryClientProvider client={queries}>
          <SessionProvider>
            <BrowserRouter><Inside /></BrowserRouter>
          </SessionProvider>
        </QueryClientProvider>
      </AntApp>
    </ConfigProvider>
  )
}

function Inside() {
  const { me, waiting } = useSession()
  if (waiting) return <Waiting />
  if (!me) return <Login />
  return (
    <LiveProvider>
      <Routes>
        <Route element={<Shell />}>
          {PAGES.map((one) => <Route key={one.path} path={one.path} element={<Allowed page={one} />} />)}
          <Route path="*" element={<Missing />} />
        </Route>
      </Routes>
    </LiveProvider>
  )
}

function Allowed({ page }: { page: PageEntry }) {
  const { t } = useTranslation()
  const { may, me } = useSession()
  if (page.role && !may(page.role)) {
    return <Result status="403" title={t('forbidden', { role: t(`role.${(me?.role ?? 'viewer') as 'viewer'}`) })} extra={<Link to="/"><Button type="primary">{t('back')}</Button></Link>} />
  }
  return <page.view />
}

function Missing() {
  const { t } = useTranslation()
  return <Result status="404" title={t('notFound')} subTitle={t('notFoundHint')} extra={<Link to="/"><Button type="primary">{t('back')}</Button></Link>} />
}
