// The programs of this folder in a small size, so that a change that breaks them is seen at once; their real sizes run
// by themselves. Where a tool is missing they say so, and that is what is then tested.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test, vi } from 'vitest'

vi.setConfig({ testTimeout: 240_000 })

interface Ran { readonly status: number | null; readonly said: string }

function run(program: string, args: readonly string[], env = process.env): Ran {
  const file = fileURLToPath(new URL(`../../dist/test/power/${program}.js`, import.meta.url))
  const { status, stdout, stderr } = spawnSync(process.execPath, [file, ...args], { encoding: 'utf8', env, timeout: 230_000 })
  return { status, said: `${stdout}${stderr}` }
}

test('no acknowledged record is lost when power is cut, and a writer that does not sync is caught', () => {
  const { status, said } = run('power-cuts', ['--cuts', '16', '--seed', '1'])
  expect(said).toMatch(/journal, stopped +[1-9]|power cuts: not run, \w+/)
  expect(said).toContain('0 violations')
  expect(status).toBe(0)
})

test('a terminal that is killed at one of its writes comes back and ends its sale', () => {
  const { status, said } = run('kill-at-writes', ['--only', 'terminal', '--most', '1'])
  expect(said).toMatch(/terminal, a sale, and stop +1|at every write: not run, \w+/)
  expect(said).toContain('0 violations')
  expect(status).toBe(0)
})

test('what cannot run is said in one sentence and counted, and is no failure', () => {
  const { status, said } = run('kill-at-writes', [], { ...process.env, PATH: '/nowhere' })
  expect(said).toContain('SIGKILL at every write: not run, strace is missing (Debian package strace)')
  expect(said).toContain('0 violations, 1 not run')
  expect(status).toBe(0)
})
