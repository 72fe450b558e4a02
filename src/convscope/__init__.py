"""Convscope: what a single filter of a convolutional network does, and how.

Reading order, from the bottom of the import rule to its top:

1. ``unit``, ``settings``, ``weights``, ``images``, ``journal``: the address of a filter, the typed
   values of a request, where weights come from, photographs as batches, what a run has finished.
2. ``draws``, ``spectrum``, ``parameterization``, ``transforms``, ``penalties``: random numbers,
   free numbers that decode to an image, what the image must survive and what it pays for.
3. ``figures``, ``explorer``, ``folder``, ``tracker``: pictures as arrays, and where results go.
4. ``network``, ``receptive``, ``objectives``, ``optimizers``, ``precision``: a trained network and
   its taps, the pixels that a position sees, what ascends, by which steps, in which number format.
5. ``readings``, ``memory``, ``subject``: what an objective asks the network at the least cost, how
   much fits, and whether a request can be answered at all.
6. ``ascent``, ``activations``, ``kernels``, ``attribution``: gradient ascent, what photographs do,
   kernel slices, exact contributions one layer back.
7. ``recipes``, ``plan``, ``card``, ``album``, ``page``, ``sweep``: from settings to an ascent, what
   is to be made in which batches, an image as it is shown, photographs a network has seen, the
   ground of all HTML pages, the jobs of a multirun.
8. ``circuit``, ``report``, ``gallery``, ``sheet``, ``parallel``: the inputs of a unit as data, the
   pages about them and about images, contact sheets, parallel coordinates.
9. ``dossier``, ``catalogue``, ``overview``, ``studio``: findings put into words, for a circuit, for
   images and for a multirun; images on their way from the ascent to the disk.
10. ``multirun``, ``stages``: the notes of a multirun, and one file for each command.

A module imports only modules below it; ``tests/test_architecture.py`` holds the rule. TensorFlow
comes from ``backend`` into the modules that make tensors, never into those that only check a
request.
"""
