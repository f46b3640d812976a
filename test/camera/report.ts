/**
 * How often a simulated telephone reads the product's codes: per panel, length of the code's text, distance and decoder.
 *
 *   node dist/test/camera/report.js [--pictures 30] [--mark]     with a mark: a plain plus sign
 */
import { parseArgs } from 'node:util'
import type { Frame } from '../../drivers/driver.js'
import { orderCode, PANELS, photographs, PLUS, rendererOf, scanToPay, score } from './trials.js'

const CHARS = [63, 100, 180]
const SHARES = [0.7, 1, 1.3] // Of the comfortable distance.

async function report(count: number, mark: Frame | undefined): Promise<void> {
  console.log(`${count} pictures a line; zxing / zbar / either of them, in percent; wrong: texts that were not the code's\n`)
  for (const chars of CHARS) {
    console.log(`a code of ${chars} characters`)
    console.log(`${'panel'.padEnd(28)}${'code'.padEnd(26)}${SHARES.map((share) => `${share} x`.padStart(22)).join('')}   wrong`)
    for (const [index, { name, size }] of PANELS.entries()) {
      const payload = orderCode(chars, index)
      const renderer = rendererOf(size, mark)
      const plan = renderer.plan(payload)
      if (!plan.fits) {
        console.log(`${name.padEnd(28)}refused: ${plan.text}`)
        continue
      }
      const [frame, earlier] = [renderer.render(scanToPay(payload)), renderer.render(scanToPay(orderCode(chars, 100 + index)))]
      const cells: string[] = []
      let wrong = 0
      for (const share of SHARES) {
        const distanceMm = share * plan.scan.comfortableMm
        const scores = await score(photographs({ frame, pitchMm: size.pitchMm, distanceMm, count, seed: index, earlier }), payload)
        const percent = (of: number): string => String(Math.round(100 * of / count)).padStart(3)
        cells.push(`${distanceMm.toFixed(0)} mm ${percent(scores.zxing)}/${percent(scores.zbar)}/${percent(scores.either)}`.padStart(22))
        wrong += scores.wrong
      }
      const code = `v${plan.version} ${plan.correction} ${plan.scan.moduleMm.toFixed(2)} ${plan.scan.symbolMm.toFixed(0)}mm q${plan.quietModules}${plan.mark === undefined ? '' : ` +${plan.mark.modules}`}`
      console.log(`${name.padEnd(28)}${code.padEnd(26)}${cells.join('')}   ${wrong}`)
    }
    console.log()
  }
}

const { values } = parseArgs({ options: { pictures: { type: 'string', default: '30' }, mark: { type: 'boolean', default: false } } })
await report(Number(values.pictures), values.mark ? PLUS : undefined)
