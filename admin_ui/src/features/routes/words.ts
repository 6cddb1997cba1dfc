import type { Twin } from '@/i18n/common'

export const zh = {
  title: '路由', lead: '当一个系统里的数据有变化，就自动送到另一个系统。', create: '自己搭一条', recipes: '选择现成方案', list: '列表', canvas: '画布', canvasHint: '从左边的系统拖到右边的系统，就能新建一条路由。点选中间的卡片可修改。',
  empty: '还没有路由', emptyHint: '选一个现成方案最快；也可以自己搭。',
  route: '路由', from: '来源', to: '目标', when: '条件', always: '全部', enabled: '启用', updated: '修改时间', new: '新建路由', back: '路由',
  sentence: { when: '当', of: '的', changes: '有变化', and: '并且满足', then: '就自动执行', after: '等待', orElse: '满足任一', allOf: '全部满足' },
  source: '来源连接', entity: '业务对象', target: '目标连接', operation: '接口操作', template: '消息模板', mapping: '字段映射', mappingAuto: '自动选择', addTarget: '再加一个目标', removeTarget: '移除这个目标',
  label: '名称', labelHint: '给同事看的名字，例如：已付款订单 → ERP', key: '标识', keyHint: '小写字母、数字和短横线；保存后不能改', order: '排队方式', hold: '严格按顺序', holdHint: '前一条没成功时，同一单据后面的等待', supersede: '等新状态替代', supersedeHint: '前一条没成功时，等同一单据更新的状态来替代它', skip: '跳过继续', skipHint: '前一条失败时后面的先走', after: '延迟发送', afterHint: '0 表示立即',
  addCondition: '添加条件', anything: '没有条件：所有变化都会送出', asText: '用表达式书写', asForm: '用表单填写', tooComplex: '这个条件比表单能表达的更复杂，请直接修改表达式。', field: '字段', value: '值', values: '多个值用逗号分开',
  op: { '==': '等于', '!=': '不等于', '>': '大于', '>=': '大于等于', '<': '小于', '<=': '小于等于', in: '是其中之一', contains: '包含', startsWith: '开头是', true: '为是', false: '为否', exists: '有值', missing: '没有值' },
  save: '保存', saveOn: '保存并启用', saveOff: '保存但不启用', turnOn: '启用', turnOff: '停用', remove: '删除路由', removeSure: '确定删除路由 {{key}}？还没发出的内容会被跳过。', on: '运行中', offState: '未启用', flow: '流向', warnings: '请留意',
  trial: '用真实数据试一遍', trialHint: '选一条最近的事件，看它会不会走这条路由、会送出什么。不会真的发送。', trialPick: '选择事件', trialNone: '这个来源还没有可试的事件', trialGo: '试一遍', trialHolds: '满足条件，会送出', trialNot: '不满足条件，不会送出', trialSends: '将发给 {{to}}', trialFails: '转换不成功',
  recipesLead: '根据您已有的连接挑选。选好、确认、启用，三步完成。', recipeReady: '可以启用', recipeMissing: '还缺少：{{what}}', recipeUse: '使用这个方案', recipeGo: '启用', recipeThere: '已启用', recipeOwn: '给单个连接不同的值', recipeMakes: '将建立或修改 {{n}} 项：{{what}}', recipeNothing: '已经装好，没有变化', connectFirst: '去连接', notFitting: '需要另选映射',
} as const

export const en: Twin<typeof zh> = {
  title: 'Routes', lead: 'When something changes in one system, send it to another.', create: 'Build one', recipes: 'Pick a recipe', list: 'List', canvas: 'Canvas', canvasHint: 'Drag from a system on the left to one on the right to make a route. Pick a card in the middle to change it.',
  empty: 'No routes yet', emptyHint: 'A ready recipe is quickest; or build your own.',
  route: 'Route', from: 'From', to: 'To', when: 'When', always: 'everything', enabled: 'On', updated: 'Changed', new: 'New route', back: 'Routes',
  sentence: { when: 'When', of: '’s', changes: 'changes', and: 'and', then: 'then', after: 'after', orElse: 'any holds', allOf: 'all hold' },
  source: 'Source', entity: 'Entity', target: 'Target', operation: 'Operation', template: 'Template', mapping: 'Mapping', mappingAuto: 'Automatic', addTarget: 'Another target', removeTarget: 'Remove this target',
  label: 'Name', labelHint: 'What colleagues read, e.g. paid orders → ERP', key: 'Key', keyHint: 'Lower-case letters, digits, hyphens; cannot change later', order: 'Order', hold: 'Strictly in order', holdHint: 'While one fails, later ones of the same record wait', supersede: 'Until a newer state', supersedeHint: 'While one fails, wait for a newer state of the record to replace it', skip: 'Let others pass', skipHint: 'Later ones go on while one fails', after: 'Delay', afterHint: '0 is at once',
  addCondition: 'Add a condition', anything: 'No condition: every change goes', asText: 'As an expression', asForm: 'As a form', tooComplex: 'The form cannot say this condition; change the expression.', field: 'Field', value: 'Value', values: 'Separate values by commas',
  op: { '==': 'is', '!=': 'is not', '>': 'greater than', '>=': 'at least', '<': 'less than', '<=': 'at most', in: 'is one of', contains: 'contains', startsWith: 'starts with', true: 'is true', false: 'is false', exists: 'is there', missing: 'is missing' },
  save: 'Save', saveOn: 'Save and enable', saveOff: 'Save, leave off', turnOn: 'Enable', turnOff: 'Disable', remove: 'Remove route', removeSure: 'Remove the route {{key}}? What it still owes is skipped.', on: 'On', offState: 'Off', flow: 'Flow', warnings: 'Please note',
  trial: 'Try it on real data', trialHint: 'Pick a recent event and see whether it would take this route and what would be sent. Nothing is sent.', trialPick: 'Pick an event', trialNone: 'This source has no events to try yet', trialGo: 'Try', trialHolds: 'The condition holds; it would go', trialNot: 'The condition does not hold; it would not go', trialSends: 'Would go to {{to}}', trialFails: 'It does not map',
  recipesLead: 'Chosen by the connections you have. Pick, confirm, enable: three steps.', recipeReady: 'Ready', recipeMissing: 'Still needed: {{what}}', recipeUse: 'Use this recipe', recipeGo: 'Enable', recipeThere: 'Enabled', recipeOwn: 'Other values for single connections', recipeMakes: '{{n}} to make or change: {{what}}', recipeNothing: 'It is there already; nothing changes', connectFirst: 'Connect', notFitting: 'needs another mapping',
}
