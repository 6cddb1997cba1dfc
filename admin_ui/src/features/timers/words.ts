import type { Twin } from '@/i18n/common'

export const zh = {
  title: '定时', lead: '等着到点再发的：什么时候、因为哪条路由、发给谁；可以取消，也可以马上发。',
  state: { waiting: '等待中', fired: '已发出', cancelled: '已取消' }, all: '全部', route: '路由', none: '没有等待中的定时', noneHint: '路由设了「延迟」「免打扰时段」或限额时，到点之前会在这里等待。', noneOther: '没有记录',
  when: '什么时候', what: '做什么', about: '关于', why: '说明', waits: '还要等 {{time}}', due: '马上', late: '正在发送', after: '等前面的步骤完成', does: '向 {{connection}} {{operation}}', by: '路由',
  unless: '如果在那之前 {{what}}，就不发了', unlessOne: '{{where}} 有新的{{entity}}', unlessWhen: '{{where}} 有符合条件的{{entity}}', anywhere: '任一系统', or: '，或', held: { quiet_hours: '在免打扰时段，等到下次开放', quota: '联系人限额用完，等到下一期' },
  ended: { cancelled: '后来的事件使它不必再发', by_person: '由人取消', fired: '已发出', other: '已结束' }, cancelEvent: '见事件 {{id}}', cancel: '取消', cancelSure: '取消后不会再发送。', fire: '立即发送', fireSure: '马上发送，不再等待，免打扰时段也发；联系人限额仍然有效。', cancelled: '已取消', fired: '已安排立即发送',
} as const

export const en: Twin<typeof zh> = {
  title: 'Timers', lead: 'What waits for its hour: when, by which route, about whom. Cancel it, or send it now.',
  state: { waiting: 'Waiting', fired: 'Sent', cancelled: 'Cancelled' }, all: 'All', route: 'Route', none: 'Nothing waits', noneHint: 'Where a route has a delay, quiet hours or a quota, what it sends waits here until its hour.', noneOther: 'Nothing here',
  when: 'When', what: 'What', about: 'About', why: 'Why', waits: 'in {{time}}', due: 'Now', late: 'Being sent', after: 'After the steps before it', does: '{{operation}} to {{connection}}', by: 'Route',
  unless: 'Not sent if before that {{what}}', unlessOne: '{{where}} has a new {{entity}}', unlessWhen: '{{where}} has a fitting {{entity}}', anywhere: 'any system', or: ', or ', held: { quiet_hours: 'Quiet hours: waits for the next opening', quota: 'Quota used up: waits for the next period' },
  ended: { cancelled: 'A later event made it pointless', by_person: 'Cancelled by a person', fired: 'Sent', other: 'Over' }, cancelEvent: 'see event {{id}}', cancel: 'Cancel', cancelSure: 'It is not sent any more.', fire: 'Send now', fireSure: 'It is sent at once, in quiet hours too; quotas still count.', cancelled: 'Cancelled', fired: 'Set to be sent now',
}
