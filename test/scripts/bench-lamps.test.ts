/** The lamps on the bench page blink as those of a box do: one table of rhythms, drivers/lamps/patterns.ts, and no second one. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { RHYTHMS } from '../../drivers/lamps/patterns.js'

const css = readFileSync(new URL('../../scripts/bench-page/page/bench.css', import.meta.url), 'utf8')

/** On, off, on ... in milliseconds, as the style sheet has it; undefined for a lamp that does not blink. */
function rhythmOnPage(pattern: string): readonly number[] | undefined {
  const [, frames, seconds] = new RegExp(`\\[data-pattern="${pattern}"\\]::after \\{ animation: (\\w+) ([0-9.]+)s steps\\(1\\) infinite`).exec(css) ?? []
  if (frames === undefined) return undefined
  const [, body = ''] = new RegExp(`@keyframes ${frames} \\{([^@]*?\\})\\s*\\}`).exec(css) ?? []
  const starts = [...body.matchAll(/([0-9.]+)% \{ opacity: ([0-9.]+)/g)].map(([, percent, opacity]) => ({ at: Number(percent), lit: opacity === '1' }))
  expect(starts.map(({ lit }) => lit), pattern).toEqual(starts.map((_, i) => i % 2 === 0))
  return starts.map(({ at }, i) => Math.round(((starts[i + 1]?.at ?? 100) - at) / 100 * Number(seconds) * 1000))
}

test.each(Object.entries(RHYTHMS))('%s blinks on the bench page as on a lamp', (pattern, rhythm) => {
  expect(rhythmOnPage(pattern)).toEqual(rhythm.steady === undefined ? rhythm.onOffMs : undefined)
})
