/**
 * Brings dist/ up to date once before the tests, since some of them start the real programs. A build with errors is
 * said aloud but stops nobody whose own test does not need it; no build at all does.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const BUILD_MS_MAX = 300_000

export default function buildOnce(): void {
  const root = join(import.meta.dirname, '..')
  const { status, error, stdout, stderr } = spawnSync(join(root, 'scripts/build.sh'), { encoding: 'utf8', timeout: BUILD_MS_MAX })
  if (status === 0) return
  const said = `${error?.message ?? ''}${stdout}${stderr}`.trim()
  if (!existsSync(join(root, 'dist/device/sale.js'))) throw new Error(`scripts/build.sh made no dist/:\n${said}`)
  console.warn(`scripts/build.sh found errors; programs started by tests may be old:\n${said}\n`)
}
