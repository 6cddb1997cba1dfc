import type { Twin } from '@/i18n/common'

export const zh = {
  title: '用户与令牌', lead: '谁能登录，能做什么；程序用令牌访问接口。', people: '用户', tokens: 'API 令牌', add: '添加用户', issue: '新建令牌',
  name: '用户名', nameHint: '字母、数字和 . _ @ -，不区分大小写', password: '初始密码', passwordNew: '新密码（留空不变）', passwordHint: '至少 10 个字符', role: '角色', state: '状态', active: '可登录', locked: '已锁定', disabled: '已停用', created: '添加时间', disable: '停用', enable: '恢复', edit: '修改用户', you: '您',
  sure: '确定删除用户 {{name}}？', sureHint: '立即退出其所有登录。',
  roleHint: { viewer: '查看一切，个人信息打码', operator: '另可重放、跳过、测试连接、查看完整信息', editor: '另可修改连接、映射和路由', owner: '另可管理用户、令牌，查看审计' },
  token: '令牌名称', expires: '到期时间', never: '不过期', used: '最近使用', by: '创建者', revoke: '吊销', revokeSure: '吊销后使用它的程序立即失效。', shown: '令牌只显示这一次，请现在复制保存', noTokens: '没有令牌', noTokensHint: '给 Grafana、脚本等程序使用。', done: '好了',
} as const

export const en: Twin<typeof zh> = {
  title: 'Users and tokens', lead: 'Who may sign in and do what; programs use tokens.', people: 'Users', tokens: 'API tokens', add: 'Add a user', issue: 'New token',
  name: 'Name', nameHint: 'Letters, digits and . _ @ -; case does not matter', password: 'First password', passwordNew: 'New password (empty keeps it)', passwordHint: 'At least 10 characters', role: 'Role', state: 'State', active: 'May sign in', locked: 'Locked', disabled: 'Disabled', created: 'Added', disable: 'Disable', enable: 'Restore', edit: 'Change user', you: 'you',
  sure: 'Remove the user {{name}}?', sureHint: 'All their sessions end at once.',
  roleHint: { viewer: 'sees everything, personal data masked', operator: 'also replays, skips, tests, reveals', editor: 'also changes connections, mappings, routes', owner: 'also users, tokens, audit' },
  token: 'Name of the token', expires: 'Ends', never: 'Never', used: 'Last used', by: 'Made by', revoke: 'Revoke', revokeSure: 'Programs that use it fail at once.', shown: 'The token is shown this once; copy it now', noTokens: 'No tokens', noTokensHint: 'For Grafana, scripts and other programs.', done: 'Done',
}
