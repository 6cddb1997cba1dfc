/** Colours and shapes: calm teal for what runs, amber for what waits, red only for what needs a person. */
import { theme, type ThemeConfig } from 'antd'
import { useSyncExternalStore } from 'react'

export type Appearance = 'light' | 'dark' | 'auto'
const KEPT = 'shuniu.appearance'
const media = globalThis.matchMedia?.('(prefers-color-scheme: dark)')
/** Who asks the system for less motion gets lists and dialogs that are there at once. */
const still = Boolean(globalThis.matchMedia?.('(prefers-reduced-motion: reduce)').matches)
const listeners = new Set<() => void>()
let chosen: Appearance = read()

function read(): Appearance {
  const kept = localStorage.getItem(KEPT)
  return kept === 'light' || kept === 'dark' ? kept : 'auto'
}

export function isDark(): boolean {
  return chosen === 'dark' || (chosen === 'auto' && Boolean(media?.matches))
}

export function wear(appearance: Appearance): void {
  chosen = appearance
  if (appearance === 'auto') localStorage.removeItem(KEPT)
  else localStorage.setItem(KEPT, appearance)
  show()
}

function show(): void {
  document.documentElement.dataset.theme = isDark() ? 'dark' : 'light'
  for (const call of listeners) call()
}

media?.addEventListener('change', show)
show()

function subscribe(call: () => void): () => void {
  listeners.add(call)
  return () => void listeners.delete(call)
}

export function useDark(): boolean {
  return useSyncExternalStore(subscribe, isDark)
}

export function useAppearance(): Appearance {
  return useSyncExternalStore(subscribe, () => chosen)
}

const FONT = "-apple-system, BlinkMacSystemFont, 'PingFang SC', 'Hiragino Sans GB', 'Microsoft YaHei', 'Noto Sans CJK SC', 'Noto Sans SC', 'Segoe UI', Roboto, sans-serif"

export function themeOf(dark: boolean): ThemeConfig {
  return {
    algorithm: dark ? theme.darkAlgorithm : theme.defaultAlgorithm,
    token: {
      colorPrimary: dark ? '#3cc9be' : '#0b7a75',
      colorInfo: dark ? '#3cc9be' : '#0b7a75',
      colorLink: dark ? '#5cc9bf' : '#0b6f6a',
      colorSuccess: dark ? '#4cb782' : '#1f7a4d',
      colorWarning: dark ? '#e0a33a' : '#a86500',
      colorError: dark ? '#ff8d85' : '#c0392f',
      colorBgLayout: dark ? '#101615' : '#f5f6f3',
      colorBgContainer: dark ? '#18201f' : '#ffffff',
      colorBgElevated: dark ? '#1e2726' : '#ffffff',
      colorSuccessBg: dark ? '#16302a' : '#e6f5ec', colorSuccessBorder: dark ? '#2c5b49' : '#b9e0c8',
      colorWarningBg: dark ? '#33290f' : '#fdf3e0', colorWarningBorder: dark ? '#5f4d1e' : '#f1d9a8',
      colorErrorBg: dark ? '#3a1d1b' : '#fdeceb', colorErrorBorder: dark ? '#6b3733' : '#f3c0bb',
      colorInfoBg: dark ? '#14302e' : '#e4f2ef', colorInfoBorder: dark ? '#265652' : '#b6dad4',
      colorTextTertiary: dark ? 'rgba(255,255,255,0.56)' : 'rgba(20,34,32,0.62)',
      colorTextDescription: dark ? 'rgba(255,255,255,0.60)' : 'rgba(20,34,32,0.64)',
      colorTextPlaceholder: dark ? 'rgba(255,255,255,0.52)' : 'rgba(20,34,32,0.68)',
      colorTextQuaternary: dark ? 'rgba(255,255,255,0.46)' : 'rgba(20,34,32,0.56)',
      colorBorderSecondary: dark ? '#27312f' : '#e7eae4',
      borderRadius: 8,
      borderRadiusLG: 14,
      fontFamily: FONT,
      fontSize: 14,
      controlHeight: 36,
      wireframe: false,
      motion: !still,
    },
    components: {
      Button: dark ? { primaryColor: '#04201d', dangerColor: '#240806' } : {},
      Layout: { headerBg: 'transparent', siderBg: 'transparent', bodyBg: dark ? '#101615' : '#f5f6f3' },
      Menu: { itemSelectedBg: dark ? '#14302e' : '#dcefeb', itemSelectedColor: dark ? '#8fe0d7' : '#07504d', itemHoverBg: dark ? '#1c2524' : '#eceeea', itemBg: 'transparent', subMenuItemBg: 'transparent', itemBorderRadius: 9, itemHeight: 34, itemMarginBlock: 2, activeBarBorderWidth: 0, iconSize: 16 },
      Table: { headerBg: 'transparent', headerSplitColor: 'transparent', cellPaddingBlock: 13 },
      Card: { headerFontSize: 15 },
      Tabs: { titleFontSize: 14 },
    },
  }
}
