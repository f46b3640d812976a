// scripts/demo.sh --serve as its visitor meets it: the three real programs behind the page, Debian's Chromium before it.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { DIST } from './shop.js'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const CHROMIUM = '/usr/bin/chromium'
const WAIT = { timeout: 30_000 }

let folder: string
let demo: ChildProcess
let browser: Browser
let page: Page

beforeAll(async () => {
  if (!existsSync(CHROMIUM)) throw new Error(`${CHROMIUM} is missing: install Debian's package chromium (scripts/test.sh does)`)
  folder = mkdtempSync(join(tmpdir(), 'plinth-demo-'))
  demo = spawn(process.execPath, [fileURLToPath(new URL('scripts/demo.js', DIST)), '--serve', '--port', '0', '--out', join(folder, 'demo')])
  const url = await new Promise<string>((resolve, reject) => {
    demo.once('exit', (code) => reject(new Error(`the demo ended (${code})`)))
    if (demo.stdout === null) return reject(new Error('the demo says nothing'))
    createInterface(demo.stdout).on('line', (line) => {
      const open = /^The bench is open: +(http:\S+)/.exec(line)
      if (open?.[1] !== undefined) resolve(open[1])
    })
  })
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--headless=new'] })
  page = await browser.newPage({ viewport: { width: 1280, height: 1264 } })
  await page.goto(url)
  await page.waitForSelector('#lamps[data-pattern="ready"]', WAIT)
})

afterAll(async () => {
  await browser?.close()
  demo.kill('SIGTERM')
  if (demo.exitCode === null) await new Promise((resolve) => demo.once('exit', resolve))
  rmSync(folder, { recursive: true, force: true })
})

const scanAndAnswer = async (outcome: string): Promise<void> => {
  await page.waitForSelector('#lamps[data-pattern="waiting"]', WAIT)
  await page.click('#scan', WAIT) // The phone looks until it sees a code.
  await page.click(`[data-outcome="${outcome}"]`, WAIT)
}

describe('a visitor of the bench', () => {
  it('keys in an amount, scans the panel with the phone, pays, and sees the lamps say paid', async () => {
    for (const key of ['3', '0', '0', '0', 'enter']) await page.click(`.key[data-key="${key}"]`)
    await scanAndAnswer('paid')
    await page.waitForSelector('#lamps[data-pattern="paid"]', WAIT)
    expect(await page.textContent('#entries')).toContain('read the charge itself: paid')
    await page.screenshot({ path: 'out/bench-paid.png' })
    await page.click('#done')
  })

  it('rings up 150.00 at the register, lacks funds, and the register hears NO', async () => {
    await page.fill('#ring-amount', '150.00')
    await page.click('#ring-up')
    await scanAndAnswer('insufficient_fund')
    await page.locator('#register-said', { hasText: 'NO insufficient_fund' }).waitFor(WAIT)
    await page.waitForSelector('#lamps[data-pattern="not paid"]', WAIT)
  })
})
