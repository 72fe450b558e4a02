"""Convscope: what a single filter of a convolutional network does, and how.

Reading order, from the bottom of the import rule to its top:

1. ``unit``, ``settings``, ``weights``, ``images``: the address of a filter, the typed values of a
   request, where weights come from, photographs as batches.
2. ``parameterization``, ``transforms``: free numbers that decode to an image, and what the image
   must survive.
3. ``figures``, ``explorer``, ``folder``, ``tracker``: pictures as arrays, and where results go.
4. ``network``, ``receptive``, ``objectives``, ``precision``: a trained network and its taps, the
   pixels that a position sees, what ascends, and in which number format.
5. ``ascent``, ``activations``, ``kernels``, ``attribution``: gradient ascent, peaks on photographs,
   kernel slices, exact contributions one layer back.
6. ``album``, ``circuit``, ``report``: photographs a network has seen, the inputs of a unit as data,
   the page about them.
7. ``dossier``, ``stages``: all findings about a unit put into words, and one file for each command.

A module imports only modules below it; ``tests/test_architecture.py`` holds the rule. TensorFlow
comes from ``backend`` into the modules that make tensors, never into those that only check a
request.
"""
