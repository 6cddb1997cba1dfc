import 'antd/dist/reset.css'
import './style/base.css'
import './style/kit.css'
import './style/features.css'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from '@/app/app'
import { start } from '@/i18n'
import { stylesWithNonce } from '@/lib/nonce'

stylesWithNonce()
start()
const root = document.getElementById('root')
if (root) createRoot(root).render(<StrictMode><App /></StrictMode>)
