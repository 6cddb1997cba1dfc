import type { Twin } from '@/i18n/common'

export const zh = {
  title: '设置', lead: '您的账号和界面；所有者在这里看管数据、备份和密钥。', own: '账号与界面', data: '数据与备份', system: '密钥与安装', checks: '核对', comma: '、', on: '已开启', off: '未开启', days: '天', account: '我的账号', look: '界面', password: '修改密码', current: '当前密码', fresh: '新密码', again: '再输一次', differ: '两次输入不一致', passwordHint: '至少 10 个字符；修改后所有设备都需重新登录。', passwordDone: '密码已修改，请重新登录', change: '修改密码',
  ledger: '台账核对', ledgerHint: '逐行读取收件箱，与计数比较。数据很多时需要一会儿。', check: '开始核对', fine: '账平：逐行核对一致', wrong: '核对发现差异',
  refused: '最近拒收', refusedHint: '签名不对、过期或格式有误的调用，在门口就被拒绝，不进入台账。', at: '时间', connection: '连接', reason: '原因', detail: '说明', none: '没有被拒收的请求',
  reference: '接口文档', referenceLead: '界面能做的一切，程序也能做。鉴权：请求头 Authorization: Bearer shn_…', raw: 'OpenAPI 文件', filter: '筛选接口', takes: '需要角色 {{role}}',
  retention: '数据保留多久', retentionHint: '到期的内容由后台分批清理。', forEver: '永久保留', asAttempts: '与投递记录相同', retentionStays: '还没办完的、挂起的永远不会被清理；计数和主键对照一直保留，账始终平。',
  retentionSure: '缩短保留时间？', retentionSureHint: '{{names}}：超出新期限的内容会在接下来几分钟内开始清理，不能恢复。',
  keep: {
    raw: { name: '事件报文', what: '收到的原文，以及人工改过的内容' }, canonicals: { name: '转换结果', what: '转换成标准字段后的内容' },
    attempts: { name: '投递记录', what: '每次调用的结果' }, exchanges: { name: '请求与应答', what: '投递记录里的请求和应答原文' }, dead_letters: { name: '死信', what: '没送成、还可以重放的，连同报文和记录' },
    quarantine: { name: '拒收记录', what: '在门口被拒绝的调用，最多 1000 条' }, comparisons: { name: '对账报告', what: '已完成的对账和差异' }, audit: { name: '审计日志', what: '谁在什么时候改了什么' },
  },
  backup: '备份', backupHint: '一份备份包含全部台账和配置，备份时不影响运行。', backupNone: '还没有备份过。机器损坏时，没有备份的数据无法找回。', backupOld: '上次备份已超过一周。', backupFailed: '备份没有完成', backupLast: '上次备份', backupSize: '大小', backupFile: '文件（在服务器上）', backupNow: '立即备份', backupRunning: '正在备份…',
  backupDaily: '每天自动备份与恢复', backupCron: '请管理员把这条命令加到服务器的每日任务里，再把文件复制到另一台机器：', backupRestore: '恢复时先停止枢纽：', backupKey: '备份里没有主密钥（SHUNIU_SECRET_KEY）：请另外保管，缺了它，备份里的凭证无法解开。',
  keys: '加密密钥', keysHint: '连接的密钥和令牌都加密存放。怀疑泄露、或按制度定期更换时，点「轮换」：运行不中断。', keysSince: '当前密钥启用于', keysFirst: '安装时', keysRows: '加密的连接与令牌', keysMaster: '主密钥', keysOne: '只有当前这一把', keysNeedless: '旧主密钥已不需要，可以从 SHUNIU_OLD_SECRET_KEYS 移除', keysNeeded: '旧主密钥仍在使用：请轮换一次',
  keysRotate: '轮换密钥', keysRunning: '正在轮换…', keysLeft: '还有 {{n}} 条在用旧密钥；关闭页面也会继续。', keysComing: '正在让每个进程知道新密钥，约 15 秒；关闭页面也会继续。', keysBegun: '已开始轮换', keysSure: '轮换加密密钥？', keysSureHint: '所有凭证会用一把新密钥重新加密，一般不到一分钟。运行不中断，也不需要重新填写任何凭证。',
  masterHow: '更换主密钥的步骤', master1: '管理员把新主密钥设为 SHUNIU_SECRET_KEY、旧的设为 SHUNIU_OLD_SECRET_KEYS，逐个重启进程。', master2: '在这里点「轮换密钥」，等到完成。', master3: '上面显示「旧主密钥已不需要」后，移除 SHUNIU_OLD_SECRET_KEYS。',
  site: '安装信息', siteHint: '这些由管理员在启动枢纽时设定（SHUNIU_ 开头的环境变量），改动后重启生效。', siteUrl: '对外地址', siteVersion: '版本', siteDatabase: '数据库', siteSqlite: '内置（SQLite）', siteEmbedded: '内置', siteOwn: '外部', siteRunning: '正在运行', process: { api: '接口与界面', worker: '工作进程', poller: '拉取进程' }, siteNetworks: '允许访问的内网', sitePublic: '没有（只连公网）', siteSso: '单点登录', siteSandbox: '模拟器', siteBody: '单条推送上限',
} as const

export const en: Twin<typeof zh> = {
  title: 'Settings', lead: 'Your account and the interface; owners look after data, backups and keys here.', own: 'Account and interface', data: 'Data and backups', system: 'Keys and set-up', checks: 'Checks', comma: ', ', on: 'On', off: 'Off', days: 'days', account: 'My account', look: 'Interface', password: 'Change password', current: 'Current password', fresh: 'New password', again: 'Once more', differ: 'The two are not the same', passwordHint: 'At least 10 characters; afterwards every device signs in again.', passwordDone: 'Changed; sign in again', change: 'Change password',
  ledger: 'Check the ledger', ledgerHint: 'Reads every row of the inbox and compares it with the counts. Takes a while on a large ledger.', check: 'Check now', fine: 'Balanced: every row agrees', wrong: 'There are differences',
  refused: 'Refused lately', refusedHint: 'Calls with a wrong signature, out of time or malformed are refused at the door and never enter the ledger.', at: 'When', connection: 'Connection', reason: 'Reason', detail: 'Detail', none: 'No call was refused',
  reference: 'API reference', referenceLead: 'Programs can do whatever the interface can. Header: Authorization: Bearer shn_…', raw: 'OpenAPI file', filter: 'Filter', takes: 'needs {{role}}',
  retention: 'How long data is kept', retentionHint: 'What is over is removed in small batches.', forEver: 'For ever', asAttempts: 'As long as attempts', retentionStays: 'What is not over, or parked, is never removed; counts and links stay, so the ledger balances.',
  retentionSure: 'Keep it for a shorter time?', retentionSureHint: '{{names}}: what is older than that begins to go within minutes and does not come back.',
  keep: {
    raw: { name: 'Payloads', what: 'Events as they came, and edits of them' }, canonicals: { name: 'Mapped bodies', what: 'Events in standard fields' },
    attempts: { name: 'Attempts', what: 'What came of each call' }, exchanges: { name: 'Requests and answers', what: 'Of attempts, word for word' }, dead_letters: { name: 'Dead letters', what: 'Both of these, of what was given up and can be replayed' },
    quarantine: { name: 'Refused calls', what: 'Turned away at the door; 1,000 at most' }, comparisons: { name: 'Reconciliations', what: 'Finished reports with their findings' }, audit: { name: 'Audit log', what: 'Who changed what, and when' },
  },
  backup: 'Backup', backupHint: 'One backup holds the whole ledger and configuration; everything runs on meanwhile.', backupNone: 'There is no backup yet. Without one, nothing comes back when this machine breaks.', backupOld: 'The last backup is more than a week old.', backupFailed: 'The backup did not come to its end', backupLast: 'Last backup', backupSize: 'Size', backupFile: 'File (on the server)', backupNow: 'Back up now', backupRunning: 'Backing up…',
  backupDaily: 'Daily backups, and restoring', backupCron: 'Let the operator run this daily on the server, and copy the file to another machine:', backupRestore: 'To restore, stop the hub first:', backupKey: 'The master key (SHUNIU_SECRET_KEY) is not in it: keep it elsewhere. Without it the credentials in a backup do not open.',
  keys: 'Encryption keys', keysHint: 'Credentials and tokens are stored sealed. Rotate when a key may have leaked, or as your rules ask; everything runs on.', keysSince: 'Current key since', keysFirst: 'the installation', keysRows: 'Sealed rows', keysMaster: 'Master key', keysOne: 'Only the current one', keysNeedless: 'Old ones are not needed: remove SHUNIU_OLD_SECRET_KEYS', keysNeeded: 'An old one is still needed: rotate once',
  keysRotate: 'Rotate', keysRunning: 'Rotating…', keysLeft: '{{n}} still wait for the new key; it goes on when you leave.', keysComing: 'Every process hears of the new key first, about 15 s; it goes on when you leave.', keysBegun: 'The rotation began', keysSure: 'Rotate the encryption key?', keysSureHint: 'Every credential is sealed anew, mostly within a minute. Everything runs on, nothing has to be entered again.',
  masterHow: 'Changing the master key', master1: 'The operator sets the new key as SHUNIU_SECRET_KEY and the old one as SHUNIU_OLD_SECRET_KEYS, and restarts each process.', master2: 'Press "Rotate" here and wait for its end.', master3: 'When it says that old ones are not needed, remove SHUNIU_OLD_SECRET_KEYS.',
  site: 'Set-up', siteHint: 'Set by the operator where the hub is started (SHUNIU_ variables); changes count after a restart.', siteUrl: 'Public address', siteVersion: 'Version', siteDatabase: 'Database', siteSqlite: 'Embedded (SQLite)', siteEmbedded: 'Embedded', siteOwn: 'Your own', siteRunning: 'Running', process: { api: 'API and pages', worker: 'workers', poller: 'pollers' }, siteNetworks: 'Private networks it may call', sitePublic: 'None (public network only)', siteSso: 'Single sign-on', siteSandbox: 'Simulators', siteBody: 'Largest push',
}
