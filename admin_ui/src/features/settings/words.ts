import type { Twin } from '@/i18n/common'

export const zh = {
  title: '设置', lead: '您的账号、界面，以及台账核对。', account: '我的账号', look: '界面', password: '修改密码', current: '当前密码', fresh: '新密码', again: '再输一次', differ: '两次输入不一致', passwordHint: '至少 10 个字符；修改后所有设备都需重新登录。', passwordDone: '密码已修改，请重新登录', change: '修改密码',
  ledger: '台账核对', ledgerHint: '逐行读取收件箱，与计数比较。数据很多时需要一会儿。', check: '开始核对', fine: '账平：逐行核对一致', wrong: '核对发现差异',
  refused: '最近拒收', refusedHint: '签名不对、过期或格式有误的调用，在门口就被拒绝，不进入台账。', at: '时间', connection: '连接', reason: '原因', detail: '说明', none: '没有被拒收的请求',
  reference: '接口文档', referenceLead: '界面能做的一切，程序也能做。鉴权：请求头 Authorization: Bearer shn_…', raw: 'OpenAPI 文件', filter: '筛选接口', takes: '需要角色 {{role}}',
} as const

export const en: Twin<typeof zh> = {
  title: 'Settings', lead: 'Your account, the interface, and checking the ledger.', account: 'My account', look: 'Interface', password: 'Change password', current: 'Current password', fresh: 'New password', again: 'Once more', differ: 'The two are not the same', passwordHint: 'At least 10 characters; afterwards every device signs in again.', passwordDone: 'Changed; sign in again', change: 'Change password',
  ledger: 'Check the ledger', ledgerHint: 'Reads every row of the inbox and compares it with the counts. Takes a while on a large ledger.', check: 'Check now', fine: 'Balanced: every row agrees', wrong: 'There are differences',
  refused: 'Refused lately', refusedHint: 'Calls with a wrong signature, out of time or malformed are refused at the door and never enter the ledger.', at: 'When', connection: 'Connection', reason: 'Reason', detail: 'Detail', none: 'No call was refused',
  reference: 'API reference', referenceLead: 'Programs can do whatever the interface can. Header: Authorization: Bearer shn_…', raw: 'OpenAPI file', filter: 'Filter', takes: 'needs {{role}}',
}
