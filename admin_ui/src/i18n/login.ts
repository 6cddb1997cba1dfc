import type { Twin } from './common'

export const zh = {
  title: '登录枢纽',
  name: '用户名',
  password: '密码',
  nameNeeded: '请输入用户名',
  passwordNeeded: '请输入密码',
  submit: '登录',
  first: '还没有账号？',
  firstHow: '请所有者在「用户与令牌」里添加您；第一个账号在服务器上创建：',
  promise: '订单、库存、客户，在每个系统里都对得上',
  promiseMore: '收到的每一条都有着落：已送达、重复、无需处理、死信，或正在路上。',
} as const

export const en: Twin<typeof zh> = {
  title: 'Sign in to Shuniu',
  name: 'Name',
  password: 'Password',
  nameNeeded: 'Enter your name',
  passwordNeeded: 'Enter your password',
  submit: 'Sign in',
  first: 'No account yet?',
  firstHow: 'An owner adds you under "Users and tokens"; the very first account is made on the server:',
  promise: 'Orders, stock and customers that agree everywhere',
  promiseMore: 'Everything taken in is accounted for: delivered, duplicate, nothing to do, dead, or on its way.',
}
