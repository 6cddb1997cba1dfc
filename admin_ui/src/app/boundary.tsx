/** A page that fails takes nothing else with it. */
import { Button, Result } from 'antd'
import { Component, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

export class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null }

  static getDerivedStateFromError(error: Error) {
    return { error }
  }

  override render() {
    return this.state.error ? <Broken error={this.state.error} again={() => this.setState({ error: null })} /> : this.props.children
  }
}

function Broken({ error, again }: { error: Error; again: () => void }) {
  const { t } = useTranslation()
  return <Result status="warning" title={t('crashed')} subTitle={<code>{error.message}</code>} extra={<Button type="primary" onClick={again}>{t('retry')}</Button>} />
}
