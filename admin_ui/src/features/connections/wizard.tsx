/** A new connection. */
import { useTranslation } from 'react-i18next'
import { Link, useParams } from 'react-router'
import { useConnector } from '@/data/catalogue'
import { useSay } from '@/i18n'
import { Loaded, Page } from '@/kit/page'
import { Badge } from './badge'
import { Editor } from './editor'

export default function Wizard() {
  const { t } = useTranslation('connections')
  const { connector: id } = useParams()
  const connector = useConnector(id)
  const say = useSay()
  const name = say(connector.data?.label)
  return (
    <Page
      name={t('create')}
      title={<>{connector.data && <Badge name={name} category={connector.data.category} size={36} />}{name ? t('new', { name }) : t('create')}</>}
      lead={t('newLead')}
      back={<Link className="back" to="/connections/new">‹ {t('gallery')}</Link>}
    >
      <Loaded query={connector}>{(found) => <Editor connector={found} />}</Loaded>
    </Page>
  )
}
