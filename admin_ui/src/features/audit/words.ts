import type { Twin } from '@/i18n/common'

export const zh = {
  title: '审计日志', lead: '谁在什么时候改了什么。每一条都与上一条相扣，改动或删除都会被发现。', verify: '校验完整性', whole: '审计链完整，没有被改动', broken: '审计链有 {{n}} 处问题',
  at: '时间', actor: '谁', action: '做了什么', object: '对象', detail: '细节', filterActor: '用户', filterAction: '操作，如 route.update', filterObject: '对象，如 route/…', empty: '没有记录',
} as const

export const en: Twin<typeof zh> = {
  title: 'Audit log', lead: 'Who changed what, when. Each entry is chained to the one before: edits and removals show.', verify: 'Verify', whole: 'The chain is whole; nothing was changed', broken: 'The chain has {{n}} problems',
  at: 'When', actor: 'Who', action: 'Did what', object: 'To what', detail: 'Detail', filterActor: 'User', filterAction: 'Action, e.g. route.update', filterObject: 'Object, e.g. route/…', empty: 'No entries',
}
