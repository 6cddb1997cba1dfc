/** A list of any length as a table: pages by cursor, the whole row opens, empty and broken states included. */
import { Button, Skeleton, Table, type TableColumnsType } from 'antd'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Trouble } from './page'

export interface Pages<T> {
  items: T[]
  error: Error | null
  isPending: boolean
  hasNextPage: boolean
  isFetchingNextPage: boolean
  refetch: () => unknown
  fetchNextPage: () => unknown
}

export function List<T extends object>(props: {
  pages: Pages<T>
  columns: TableColumnsType<T>
  rowKey: (row: T) => string
  empty: ReactNode
  open?: (row: T) => void
  label: string
  selection?: { keys: string[]; set: (keys: string[]) => void }
  wide?: number
}) {
  const { t } = useTranslation()
  const { pages, open } = props
  if (pages.isPending) return <div className="panel"><Skeleton active paragraph={{ rows: 8 }} /></div>
  if (pages.error && pages.items.length === 0) return <Trouble error={pages.error} again={() => void pages.refetch()} />
  if (pages.items.length === 0) return <div className="panel">{props.empty}</div>
  return (
    <div className="panel panel-table">
      <Table<T>
        dataSource={pages.items}
        columns={props.columns}
        rowKey={props.rowKey}
        pagination={false}
        scroll={{ x: props.wide ?? 'max-content' }}
        aria-label={props.label}
        rowSelection={props.selection && { selectedRowKeys: props.selection.keys, onChange: (keys) => props.selection?.set(keys.map(String)) }}
        rowClassName={open ? 'opens' : ''}
        onRow={(row) =>
          open
            ? {
                tabIndex: 0,
                onClick: (event) => {
                  if (!(event.target as HTMLElement).closest('button, a, input, label')) open(row)
                },
                onKeyDown: (event) => {
                  if (event.key === 'Enter' && event.target === event.currentTarget) open(row)
                },
              }
            : {}
        }
      />
      <div className="list-end">
        {pages.hasNextPage ? (
          <Button loading={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>{t('more')}</Button>
        ) : (
          <span className="dim">{t('allShown', { count: pages.items.length })}</span>
        )}
      </div>
    </div>
  )
}
