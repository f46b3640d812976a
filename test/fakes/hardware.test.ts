/** The fakes keep the promises that the real ones keep: they run the same suites. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe } from 'vitest'
import { amountSourceConformance } from '../conformance/amount-source.js'
import { panelConformance } from '../conformance/panel.js'
import { releaseConformance } from '../conformance/release.js'
import { createFakePanel } from './panel.js'
import { createFakeRelease } from './release.js'
import { createFakeSource, typeAmount } from './source.js'

describe('the fake source', () => {
  amountSourceConformance(() => {
    const source = createFakeSource()
    return Promise.resolve({
      source,
      ask: () => {
        typeAmount(source, '7')
        return Promise.resolve([{ type: 'digit pressed', digit: '7' }, { type: 'enter pressed' }])
      },
      settle: () => sleep(5),
      close: () => Promise.resolve(),
    })
  })
})

describe('the fake release', () => {
  releaseConformance(() => {
    const release = createFakeRelease()
    return Promise.resolve({ release, sent: release.sent, safe: () => true, settle: (promise) => promise, pass: () => Promise.resolve() })
  })
})

panelConformance('the fake panel', (size) => {
  const panel = createFakePanel(undefined, size)
  return Promise.resolve({
    panel,
    visible: () => {
      const frame = panel.visible()
      return frame === undefined ? Promise.reject(new Error('nothing was drawn')) : Promise.resolve(frame)
    },
  })
})
